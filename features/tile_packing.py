"""An entity's closed tiles as bytes.

Bytes: for each section the number of tiles, then per tile the step from the id before, events, the
sum of amounts, and its card bits: one byte per bit while they are few, else all of them.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel
from features.packing import (
    get_fixed,
    get_signed,
    get_varint,
    grown,
    put_fixed,
    put_signed,
    put_varint,
)
from features.tile_kernel import ROOM, Cube, ones

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

FEW_BITS = 8 * layout.BIT_WORDS
"""Up to so many bits are written one by one: more take less space as words."""
TILE_BYTES = 80
"""More than any packed tile takes."""
R_ENTITY, R_SECTION, R_TILE = range(3)
"""Columns of a row of new tiles; a tile's own columns follow from R_TILE on."""


@kernel
def put_bits(data: Bytes, at: int, tile: Ints) -> int:
    """Write the card bits of a tile."""
    count = np.int64(0)
    for word in range(layout.BIT_WORDS):
        count += ones(tile[layout.T_BITS + word])
    at = put_varint(data, at, count)
    for word in range(layout.BIT_WORDS):
        value = tile[layout.T_BITS + word]
        if count > FEW_BITS:
            at = put_fixed(data, at, value, 8)
            continue
        for bit in range(64):
            if (value >> np.int64(bit)) & 1:
                data[at] = 64 * word + bit
                at += 1
    return at


@kernel
def get_bits(data: Bytes, at: int, tiles: Cube, section: int, j: int) -> int:
    """Read what `put_bits` wrote into a tile without bits."""
    count, at = get_varint(data, at)
    if count > FEW_BITS:
        for word in range(layout.BIT_WORDS):
            tiles[section, j, layout.T_BITS + word], at = get_fixed(data, at, 8)
        return at
    for k in range(at, at + count):
        bit = np.int64(data[k])
        tiles[section, j, layout.T_BITS + (bit >> 6)] |= np.int64(1) << (bit & 63)
    return at + int(count)


@kernel
def put_section(data: Bytes, at: int, tiles: Ints, count: int) -> int:
    """Write one section."""
    at = put_varint(data, at, count)
    before = np.int64(0)
    for j in range(count):
        at = put_varint(data, at, tiles[j, layout.T_ID] - before)
        before = tiles[j, layout.T_ID]
        at = put_varint(data, at, tiles[j, layout.T_COUNT])
        at = put_signed(data, at, tiles[j, layout.T_SUM])
        at = put_bits(data, at, tiles[j])
    return at


@kernel
def roomy(tiles: Cube, count: int) -> Cube:
    """`tiles` itself, or a copy with room for `count` of each section."""
    if count <= tiles.shape[1]:
        return tiles
    larger = np.zeros((layout.SECTIONS, 2 * count, layout.TILE_WIDTH), np.int64)
    larger[:, : tiles.shape[1]] = tiles
    return larger


@kernel
def get_tiles(data: Bytes, at: int, end: int, tiles: Cube, ends: Ints) -> Cube:
    """Read all sections of an entity; nothing is left of one that has no tiles."""
    ends[:] = 0
    for section in range(layout.SECTIONS):
        if at >= end:
            break
        count, at = get_varint(data, at)
        tiles = roomy(tiles, int(count))
        ends[section] = count
        tile = np.int64(0)
        for j in range(count):
            for column in range(layout.T_BITS, layout.TILE_WIDTH):
                tiles[section, j, column] = 0
            step, at = get_varint(data, at)
            tile += step
            tiles[section, j, layout.T_ID] = tile
            tiles[section, j, layout.T_COUNT], at = get_varint(data, at)
            tiles[section, j, layout.T_SUM], at = get_signed(data, at)
            at = get_bits(data, at, tiles, section, j)
    return tiles


@kernel
def merged(old: Ints, fresh: Ints, kept_from: int) -> tuple[Ints, int]:
    """Both sections' tiles from `kept_from` on in order of id; of two with one id the fresh one."""
    out = np.empty((len(old) + len(fresh), layout.TILE_WIDTH), np.int64)
    i, j, count = 0, 0, 0
    while i < len(old) or j < len(fresh):
        take_fresh = i == len(old) or (
            j < len(fresh) and fresh[j, layout.T_ID] <= old[i, layout.T_ID]
        )
        if take_fresh:
            out[count] = fresh[j]
            if i < len(old) and old[i, layout.T_ID] == fresh[j, layout.T_ID]:
                i += 1
            j += 1
        else:
            out[count] = old[i]
            i += 1
        if out[count, layout.T_ID] >= kept_from:
            count += 1
    return out, count


@kernel
def merge_all(
    blobs: Bytes, blob_bounds: Ints, rows: Ints, bounds: Ints, kept_from: Ints
) -> tuple[Bytes, Ints]:
    """Each entity's bytes with its new tiles, rows[bounds[e]:bounds[e + 1]] by section and id."""
    written = np.empty(1 << 16, dtype=np.uint8)
    ends = np.zeros(len(bounds), dtype=np.int64)
    held = np.zeros(layout.SECTIONS, dtype=np.int64)
    old = np.zeros((layout.SECTIONS, ROOM, layout.TILE_WIDTH), np.int64)
    at = 0
    for e in range(len(bounds) - 1):
        old = get_tiles(blobs, blob_bounds[e], blob_bounds[e + 1], old, held)
        row = bounds[e]
        for section in range(layout.SECTIONS):
            last = row
            while last < bounds[e + 1] and rows[last, R_SECTION] == section:
                last += 1
            fresh = rows[row:last, R_TILE:]
            tiles, count = merged(old[section, : held[section]], fresh, kept_from[section])
            row = last
            written = grown(written, at + 10 + count * TILE_BYTES)
            at = put_section(written, at, tiles, count)
        ends[e + 1] = at
    return written, ends
