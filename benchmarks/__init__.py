"""Measure swath's speed and memory against limits and peer libraries: `make bench`."""
