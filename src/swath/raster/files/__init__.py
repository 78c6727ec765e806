"""A scene's file below its pixels: byte ranges, TIFF header, layout of blocks, checksums."""
