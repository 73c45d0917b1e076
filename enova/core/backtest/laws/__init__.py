"""Scaling laws of other systems, each as documented, to compare with."""
