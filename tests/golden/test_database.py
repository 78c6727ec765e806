"""The database's tables, as programs of others read them."""

COLUMNS = """
    SELECT table_name, column_name, udt_name, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'swath' ORDER BY 1, ordinal_position
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'swath'"
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'swath'::regnamespace AND contype <> 'n'
"""
VIEWS = "SELECT viewname, definition FROM pg_views WHERE schemaname = 'swath'"
FUNCTIONS = """
    SELECT oid::regprocedure::text, pg_get_function_result(oid) FROM pg_proc
    WHERE pronamespace = 'swath'::regnamespace
"""
GRANTS = """
    SELECT table_name, grantee, privilege_type FROM information_schema.table_privileges
    WHERE table_schema = 'swath' AND grantee <> grantor
"""


def test_tables(golden, connection):
    found = {}
    for name, query in {
        "columns": COLUMNS,
        "indexes": INDEXES,
        "constraints": CONSTRAINTS,
        "views": VIEWS,
        "functions": FUNCTIONS,
        "grants": GRANTS,
    }.items():
        rows = connection.execute(query).fetchall()
        found[name] = [list(row) for row in rows] if name == "columns" else sorted(map(list, rows))
    golden("database", found)
