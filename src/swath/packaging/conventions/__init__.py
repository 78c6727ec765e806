"""Interpret the outputs of exported networks, with one module for each library's convention."""
