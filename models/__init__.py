"""From a snapshot to a registered, gated and promoted model."""
