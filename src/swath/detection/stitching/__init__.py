"""Report each object once and whole where neighboring tiles detect it several times."""
