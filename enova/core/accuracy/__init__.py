"""How far predictions are from measurements: measured points, their replay, and errors in groups."""
