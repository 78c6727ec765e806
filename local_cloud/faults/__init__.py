"""Simulate faults of AWS, which are switched on at the edge of a service.

A fault is a response or action of AWS, never a change of swath. `kinds` defines all faults, each
with its source. `LocalCloud.fault` switches one on for the duration of a block.
"""
