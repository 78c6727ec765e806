"""Describe, check, optimize and publish model packages."""
