"""What happens to requests: one engine's scheduler, a fleet of engines, and what users get to see."""
