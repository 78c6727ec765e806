"""Run the migrations on the connection that `swath.database.migrate` passes to Alembic."""

from alembic import context

from swath.database.migrate import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], **VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
