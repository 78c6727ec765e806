"""What the numbers of bands mean: their units, and whether they are like those of training."""
