"""Scenes whose objects are known: what models are trained on and measured against."""
