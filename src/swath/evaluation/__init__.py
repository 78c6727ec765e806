"""How good a model package is: its figures on labelled scenes, a report of them, and a gate."""
