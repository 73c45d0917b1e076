"""Readers of measured data, one for each form it comes in. They say what a file holds; they judge nothing.

Every problem of a file is reported at once, with its line and column.
"""
