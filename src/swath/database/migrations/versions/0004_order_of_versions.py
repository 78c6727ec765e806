"""Add to a run's row the fields that order its scene's version among others."""

from swath.database.migrate import run_sql_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_file(__file__)
