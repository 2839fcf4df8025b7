"""doctor: whether a deployment could work from here."""
