"""Describe, verify, load and run model packages."""
