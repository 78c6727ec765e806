"""Mutation tests: change one thing in a module, and see whether a test fails."""
