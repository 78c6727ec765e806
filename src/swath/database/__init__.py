"""Create the schema in PostGIS, and write runs and detections to it.

The module is empty on purpose: `bootstrap` reaches the database without a driver, and the other
modules need psycopg.
"""
