"""Traffic replayed against a scaling law on a simulated fleet, and what became of it. No IO, no clock."""
