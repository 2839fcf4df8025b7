"""destroy: take a stack down."""
