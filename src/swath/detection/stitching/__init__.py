"""Each object once: of one tile's candidates, and of what neighbouring tiles saw of it."""
