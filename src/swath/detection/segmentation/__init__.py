"""Segmentation: exact polygons of regions, joined where tiles cut them, and the class raster."""
