"""Bytes at addresses, for kernels: whoever calls one holds the memory as an array meanwhile.

A helper that is given an array costs reference counts at every call; one that is given an address
does not.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray


def address_of(array: NDArray[Any]) -> int:
    """Where an array's data begins; cheaper than `array.ctypes.data`."""
    address: int = array.__array_interface__["data"][0]
    return address


def _byte(typing: Any, address: Any, at: Any) -> Any:
    """The byte at an address and a distance, 0 to 255."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(builder.add(*arguments), ir.IntType(8).as_pointer())
        return builder.zext(builder.load(place), ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


def _put_byte(typing: Any, address: Any, at: Any, value: Any) -> Any:
    """Write the low byte of `value` at an address and a distance."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(builder.add(*arguments[:2]), ir.IntType(8).as_pointer())
        builder.store(builder.trunc(arguments[2], ir.IntType(8)), place)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _copy(typing: Any, out: Any, at: Any, source: Any, start: Any, size: Any) -> Any:
    """Copy `size` bytes from one address and distance to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        to = builder.inttoptr(builder.add(*arguments[:2]), pointer)
        origin = builder.inttoptr(builder.add(*arguments[2:4]), pointer)
        cgutils.raw_memcpy(builder, to, origin, arguments[4], ir.IntType(64)(1))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


def _byte_in_python(address: int, at: int) -> int:
    return ctypes.c_uint8.from_address(address + at).value


def _put_byte_in_python(address: int, at: int, value: int) -> None:
    ctypes.c_uint8.from_address(address + at).value = value & 255


def _copy_in_python(out: int, at: int, source: int, start: int, size: int) -> None:
    ctypes.memmove(out + at, source + start, size)


byte: Callable[[int, int], int] = _byte_in_python if config.DISABLE_JIT else intrinsic(_byte)
put_byte: Callable[[int, int, int], None] = (
    _put_byte_in_python if config.DISABLE_JIT else intrinsic(_put_byte)
)
copy: Callable[[int, int, int, int, int], None] = (
    _copy_in_python if config.DISABLE_JIT else intrinsic(_copy)
)
