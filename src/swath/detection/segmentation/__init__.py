"""Segments: regions as exact polygons, joined where tiles cut them, and as a mask."""
