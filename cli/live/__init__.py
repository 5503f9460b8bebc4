"""The demo's live view: what the stream decides, as it decides it."""
