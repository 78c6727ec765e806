"""Read a scene's file below its pixels: byte ranges, TIFF header, block layout, checksums."""
