"""What was forecast beside what was then measured, per service over time, and what that teaches of forecasts.

Pure values: looks at metrics become measurements, measurements are joined with the forecasts in force, and the
errors widen or narrow the bands of the next ones. Reading and keeping them is for adapters.
"""
