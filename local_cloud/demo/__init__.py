"""Run the demo: process a scene in the local cloud, from the bucket to PostGIS."""
