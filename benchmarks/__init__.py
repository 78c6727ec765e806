"""How fast and how lean swath is, against the limit and against its peers: `make bench`."""
