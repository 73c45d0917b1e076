"""What users put into their own CI, run as their CI runs it."""
