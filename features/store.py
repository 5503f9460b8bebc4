"""The feature stores: the port and its two implementations."""

from features.redis_store import RedisStateStore
from features.state_store import Manifest, MemoryStateStore, StateStore, Stored

__all__ = ["Manifest", "MemoryStateStore", "RedisStateStore", "StateStore", "Stored"]
