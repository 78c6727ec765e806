"""Tiles of a scene, read ahead of the model, each block once."""

from swath.raster.reader.tile_reader import TilePixels, read_single, read_tiles

__all__ = ["TilePixels", "read_single", "read_tiles"]
