"""Define the benchmarks: their sides, inputs and metrics."""
