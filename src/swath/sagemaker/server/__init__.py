"""An endpoint's work: images and shards in, detections and receipts out, one model for all."""
