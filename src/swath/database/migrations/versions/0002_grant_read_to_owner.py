"""Let the owner of the database read the schema's tables."""

from swath.database.migrate import run_sql_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    run_sql_file(__file__)
