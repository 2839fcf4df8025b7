"""What happens: events, and an operation followed to its end."""
