"""The sides of the comparisons: functions that `benchmarks.worker` calls in a fresh process."""
