"""The feature stores: the port and its two implementations."""

from features.redis_store import RedisStateStore
from features.state_store import UNKNOWN, Manifest, MemoryStateStore, StateStore, Stored

__all__ = ["UNKNOWN", "Manifest", "MemoryStateStore", "RedisStateStore", "StateStore", "Stored"]
