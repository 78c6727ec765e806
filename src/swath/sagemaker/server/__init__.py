"""Serve one model at an endpoint: images yield detections, shards yield receipts."""
