"""policies: who may do what."""
