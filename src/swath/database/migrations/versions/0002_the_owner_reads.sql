-- The schema belongs to the role swath. On RDS the database belongs to the master user, who is no
-- superuser there and must not be a member of swath: src/swath/database/bootstrap.py says why.
GRANT USAGE ON SCHEMA swath TO pg_database_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA swath TO pg_database_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA swath GRANT SELECT ON TABLES TO pg_database_owner;
