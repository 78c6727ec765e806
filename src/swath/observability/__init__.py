"""Provide logs, traces and metrics, and switch off the telemetry of libraries."""
