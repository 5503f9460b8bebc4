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

from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


KERNEL_SOURCES = (
    "../contracts/messages",
    "../contracts/transaction_kernel",
    "../contracts/transaction_rows",
    "bit_columns",
    "calendar",
    "card_groups",
    "card_memory",
    "card_packing",
    "clocks",
    "compiled",
    "encoding",
    "entity_replay",
    "hash_table",
    "hashing",
    "instants",
    "kernel",
    "layout",
    "packing",
    "partitioning",
    "shared_replay",
    "state",
    "statistic",
    "tile_kernel",
    "tile_numbers",
    "tile_packing",
    "tiles",
    "windows",
)
"""The modules whose text decides the machine code."""


@cache
def source_stamp() -> tuple[str, int]:
    """Digest of all kernel sources, in the shape of Numba's own (mtime, size) stamp."""
    digest = hashlib.sha256()
    for module in KERNEL_SOURCES:
        path = Path(__file__).parent / f"{module}.py"
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest(), 0


def kernel(function: Kernel) -> Kernel:
    """Compile on first use; the result is kept beside the source, or in NUMBA_CACHE_DIR.

    With NUMBA_DISABLE_JIT=1 the functions stay Python: slow, for debugging and for fault tests.
    """
    return _compiled(function)


def part(function: Kernel) -> Kernel:
    """A kernel that others call for every event: it is compiled into each of them.

    Counting references to all arrays would take longer than its work, so none are counted: it may
    make views of arrays, but return none, and make no arrays.
    """
    return _compiled(function, forceinline=True, _nrt=False)


def _compiled(function: Kernel, **options: bool) -> Kernel:
    if config.DISABLE_JIT:
        return function
    dispatcher = njit(cache=True, error_model="numpy", **options)(function)
    dispatcher._cache._cache_file._source_stamp = source_stamp()
    compiled: Kernel = dispatcher
    return compiled


CACHE_LINE = 64


def _prefetched(typing: Any, rows: Any, row: Any, first: Any, last: Any) -> Any:
    """Ask for columns `first` to `last` of a row of a two-dimensional array, and do not wait.

    It changes when memory is read, not what: the Python functions do without.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        rows_apart, columns_apart = cgutils.unpack_tuple(builder, array.strides)
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        size = columns_apart.type
        place = builder.mul(rows_apart, arguments[1])
        begin, end = (
            builder.add(place, builder.mul(columns_apart, builder.sext(column, size)))
            for column in arguments[2:]
        )
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        memory = builder.bitcast(array.data, byte)
        stop = builder.add(end, columns_apart)
        with cgutils.for_range_slice(builder, begin, stop, size(CACHE_LINE)) as (at, _):
            builder.call(fetch, [builder.gep(memory, [at]), word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(rows, row, first, last), generate


def _not_prefetched(rows: Any, row: Any, first: Any, last: Any) -> None:
    """What the Python functions do instead."""


prefetched: Callable[[Any, Any, Any, Any], None] = (
    _not_prefetched if config.DISABLE_JIT else intrinsic(_prefetched)
)

BUNCH = 8


@part
def prefetched_in_bunches(rows: Any, order: Any, i: int, first: int, last: int) -> None:
    """Ask for rows[order[i + BUNCH]] and those after it, when it is a bunch's turn.

    Rows lie all over the memory, so each waits for the machine to find its page: rows that are
    asked for one after the other wait at the same time.
    """
    if i % BUNCH == 0:
        for j in range(i + BUNCH, min(i + 2 * BUNCH, len(order))):
            prefetched(rows, order[j], first, last)
