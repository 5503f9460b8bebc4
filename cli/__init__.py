"""The `fraud` command: the composition root. Commands import the rooms inside their bodies."""
