"""Add counts of detections by cell and run, and numbers of changes."""

from swath.database.migrate import run_sql_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_file(__file__)
