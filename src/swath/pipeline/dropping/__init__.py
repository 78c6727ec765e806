"""Drop scenes into a deployed stack from a user's machine, and follow their runs to the end."""
