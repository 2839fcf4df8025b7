"""Take a stack down: stock first, then drain, empty what was named, delete, and list what is retained."""
