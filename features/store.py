"""The feature stores: the port and its two implementations."""

from features.redis_store import RedisStateStore
from features.state_store import (
    UNKNOWN,
    Manifest,
    MemoryStateStore,
    OneByOne,
    StateStore,
    Stored,
    Written,
)

__all__ = [
    "UNKNOWN",
    "Manifest",
    "MemoryStateStore",
    "OneByOne",
    "RedisStateStore",
    "StateStore",
    "Stored",
    "Written",
]
