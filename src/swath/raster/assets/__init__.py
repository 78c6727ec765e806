"""Read scenes whose bands lie in several files, on one pixel grid."""
