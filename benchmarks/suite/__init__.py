"""The benchmarks: which sides take turns, on what, and which figures follow."""
