"""PostGIS: the schema, and what is written to it.

Empty on purpose: `prepare` reaches the database without a driver, the other modules need psycopg.
"""
