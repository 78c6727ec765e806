"""Train models on labeled scenes and export them as model packages."""
