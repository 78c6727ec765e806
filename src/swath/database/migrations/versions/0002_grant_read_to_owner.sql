-- The role swath owns the schema. On RDS the master user owns the database. The master user is
-- not a superuser, and must not be a member of swath; src/swath/database/bootstrap.py explains why.
GRANT USAGE ON SCHEMA swath TO pg_database_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA swath TO pg_database_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA swath GRANT SELECT ON TABLES TO pg_database_owner;
