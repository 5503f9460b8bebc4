"""Operators: each one step, thin over the room that does the work."""
