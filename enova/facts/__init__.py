"""Data with sources, no code: GPUs, models, prices, measured efficiencies."""
