"""The way out: what is there, how it is emptied and deleted."""
