"""Turn segmentations into exact polygons, joined where tiles cut them, and into a class raster."""
