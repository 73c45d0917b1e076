"""What the daemon decides: which version of a service is in force, what hangs, what must not be deleted."""
