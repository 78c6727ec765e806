"""Migrations of the schema: one SQL file for each step, which Alembic runs in order."""
