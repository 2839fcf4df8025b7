"""diagnose: why it failed."""
