"""One pair of files for each step: the SQL, and where it comes in the order."""
