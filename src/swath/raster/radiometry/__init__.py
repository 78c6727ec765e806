"""Convert the units of bands, and compare the bands of a scene with those of training scenes."""
