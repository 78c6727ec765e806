"""Add the new table of detections, and time, outline and identity of the runs."""

from swath.database.migrate import run_sql_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_file(__file__)
