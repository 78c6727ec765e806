"""Define the sides of the comparisons, which `benchmarks.worker` calls in a fresh process."""
