"""Anybody's templates, read: text to facts, places by line, nested stacks and what their values come to."""
