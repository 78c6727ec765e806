"""Create the tables of runs and of their detections."""

from swath.database.migrate import run_sql_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_file(__file__)
