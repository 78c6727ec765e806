"""Run Lambda functions as real processes: AWS's own runtime client, through the Runtime API."""
