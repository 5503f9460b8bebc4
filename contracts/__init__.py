"""What every room must agree on: messages, topics, settings and errors."""
