"""Tiles to the detections of one scene, in one process."""
