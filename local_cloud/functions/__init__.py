"""Lambda functions as real processes: AWS's own runtime client, driven over the Runtime API."""
