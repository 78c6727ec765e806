"""Run detection over a scene in steps, distributed over functions and jobs or on one machine."""
