"""A table that numbers keys in the order of their coming, by open addressing.

Whoever fills it compares keys itself: some are numbers, some are texts that only share a hash.
"""

import numpy as np
from numpy.typing import NDArray

from features.compiled import kernel

Ints = NDArray[np.int64]

SPARSE = 8
"""A hash table has so many slots per key: what is looked for is nearly always found at once."""


@kernel
def spread(keys: Ints, known: int, size: int) -> NDArray[np.int32]:
    """A hash table of `size` slots, a power of two: the keys' numbers from 1 on, 0 where empty."""
    slots = np.zeros(size, np.int32)
    for number in range(known):
        slot = keys[number] & (size - 1)
        while slots[slot] != 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = number + 1
    return slots
