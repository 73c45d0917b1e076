"""Data with sources, and the one way to read it: GPUs, models, prices, measured efficiencies."""
