"""The one feature definition, its fold kernel, entity state, stores and replay."""
