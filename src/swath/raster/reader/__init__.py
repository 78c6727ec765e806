"""Read the tiles of a scene ahead of the model, decoding each block once."""

from swath.raster.reader.tile_reader import TilePixels, read_tile, read_tiles

__all__ = ["TilePixels", "read_tile", "read_tiles"]
