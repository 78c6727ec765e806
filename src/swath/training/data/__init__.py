"""Crops of labelled scenes, ready to be learnt from."""
