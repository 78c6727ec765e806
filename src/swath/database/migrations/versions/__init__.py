"""Steps of the schema, each with two files: the SQL, and its position in the order."""
