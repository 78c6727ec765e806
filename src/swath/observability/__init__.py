"""Logs, traces and metrics of swath, and the reports of libraries switched off."""
