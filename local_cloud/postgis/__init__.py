"""Provide a real PostGIS for the local cloud, from Debian's packages or the user's own server."""
