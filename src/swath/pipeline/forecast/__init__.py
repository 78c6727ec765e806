"""Predict what a run would do, how long it would take and what it would cost, without running it.

The tiles, shards and bytes are computed by the code that plans and reads. The seconds and dollars
are estimates, from a calibration of the model on this machine and a dated table of prices.
"""
