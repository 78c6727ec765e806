"""Making models: from labelled scenes to a model package."""
