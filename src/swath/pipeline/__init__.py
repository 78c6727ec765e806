"""A run, distributed over functions and jobs, and the same on one machine."""
