"""Define the detectors of the benchmarks: real networks in real packages with random weights."""
