"""Read labeled scenes, which models are trained and evaluated on."""
