"""Permissions: who calls, what the call needs, and whether a policy grants it."""
