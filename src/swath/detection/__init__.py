"""Detect objects: run a model on the tiles of a scene, and stitch the detections of tiles."""
