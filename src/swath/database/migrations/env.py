"""Runs the migrations on the connection that `swath.database.migrate` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="migration",
    version_table_schema="swath",
)
with context.begin_transaction():
    context.run_migrations()
