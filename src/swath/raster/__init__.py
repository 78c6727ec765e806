"""Open scenes, read their tiles, and convert their pixels to positions on Earth."""
