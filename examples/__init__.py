"""Examples: programs that use swath, which the tests run."""
