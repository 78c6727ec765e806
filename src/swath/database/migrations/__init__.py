"""The schema's history: one SQL file for each step, run in order by Alembic."""
