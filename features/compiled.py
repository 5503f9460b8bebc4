"""Numba compilation whose cache on disk follows every file that the kernels are made of.

Numba alone checks only the file of the function it loads, by modification time: after a change to a
constant or a callee in another file it would run stale machine code, and features would silently
differ between two processes.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numba import config, njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


KERNEL_SOURCES = (
    "compiled",
    "hashing",
    "kernel",
    "layout",
    "packing",
    "partitioning",
    "shared_replay",
    "state",
    "statistic",
    "tile_kernel",
    "tile_packing",
    "windows",
)
"""The modules whose text decides the machine code."""


@cache
def source_stamp() -> tuple[str, int]:
    """Digest of all kernel sources, in the shape of Numba's own (mtime, size) stamp."""
    digest = hashlib.sha256()
    for module in KERNEL_SOURCES:
        path = Path(__file__).with_name(f"{module}.py")
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest(), 0


def kernel(function: Kernel) -> Kernel:
    """Compile on first use; the result is kept beside the source, or in NUMBA_CACHE_DIR.

    With NUMBA_DISABLE_JIT=1 the functions stay Python: slow, for debugging and for fault tests.
    """
    return _compiled(function)


def part(function: Kernel) -> Kernel:
    """A kernel that others call for every event: it is compiled into each of them.

    As a call of its own it would count references to all arrays, which takes longer than its work.
    """
    return _compiled(function, forceinline=True)


def _compiled(function: Kernel, **options: bool) -> Kernel:
    if config.DISABLE_JIT:
        return function
    dispatcher = njit(cache=True, error_model="numpy", **options)(function)
    dispatcher._cache._cache_file._source_stamp = source_stamp()
    compiled: Kernel = dispatcher
    return compiled
