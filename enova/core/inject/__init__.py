"""What a run of real load consists of, and what it comes to. Pure: `enova.adapters.injector` does the sending."""
