"""The demo: a scene through the local cloud, followed from the bucket to PostGIS."""
