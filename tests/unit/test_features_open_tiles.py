"""Open tiles: sums by entity and tile against plain dictionaries, growth, closing."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA
from features import layout
from features.definition import FEATURE_SET
from features.encoding import H_CARD, H_DEVICE, H_MERCHANT, HASHES
from features.feature import SHARED_ENTITIES
from features.tile_fold import EVENTS, LABELS, Place, TileFolder
from features.tile_packing import R_ENTITY, R_SECTION, R_TILE
from features.tiles import R_KIND, ROOM, OpenTiles, card_bits, label_tiles

Ints = NDArray[np.int64]
Tile = tuple[int, int, int]
WANTED = np.array([(0, H_MERCHANT), (1, H_DEVICE)])
LONGEST = 1 << 62


def made_up(size: int, entities: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Hashes, clocks and amounts of events over two hours; some name no device."""
    rng = np.random.default_rng(seed)
    names = rng.integers(-LONGEST, LONGEST, (HASHES, entities))
    hashes = np.stack([rng.choice(of_column, size) for of_column in names], axis=1)
    hashes[rng.random(size) < 0.3, H_DEVICE] = 0
    clocks = 1_750_000_000_000 + np.sort(rng.integers(0, 2 * layout.HOUR, size))
    amounts = rng.integers(-2 * layout.AMOUNT_CLAMP, 2 * layout.AMOUNT_CLAMP, size)
    return hashes, clocks, amounts


def counted(events: tuple[Ints, Ints, Ints], section: int) -> dict[Tile, list[int]]:
    """By (kind, entity, tile) the events, the sum of limited amounts, and the bits of cards."""
    hashes, clocks, amounts = events
    found: dict[Tile, list[int]] = defaultdict(lambda: [0, 0, 0])
    limited = np.clip(amounts, -layout.AMOUNT_CLAMP, layout.AMOUNT_CLAMP).tolist()
    bits = (hashes[:, H_CARD].view(np.uint64) % np.uint64(layout.BITS)).tolist()
    for i, tile in enumerate((clocks // layout.TILE_LENGTHS[section]).tolist()):
        for kind, column in WANTED.tolist():
            if hashes[i, column] != 0:
                sums = found[kind, int(hashes[i, column]), tile]
                sums[0], sums[1] = sums[0] + 1, sums[1] + limited[i]
                sums[2] |= 0 if section == layout.S_MINUTE else 1 << bits[i]
    return dict(found)


def held(rows: Ints) -> dict[Tile, list[int]]:
    """The same of rows; each tile stands there once."""
    found: dict[Tile, list[int]] = {}
    for row in rows.tolist():
        tile = row[R_TILE:R_KIND]
        words = (word % (1 << 64) for word in tile[layout.T_BITS :])
        bits = sum(word << (64 * place) for place, word in enumerate(words))
        key = (row[R_KIND], row[R_ENTITY], tile[layout.T_ID])
        assert key not in found
        found[key] = [tile[layout.T_COUNT], tile[layout.T_SUM], bits]
    return found


@pytest.mark.parametrize("section", [layout.S_MINUTE, layout.S_HOUR, layout.S_DAY])
@pytest.mark.parametrize("entities", [3, 5 * ROOM])
def test_tiles_hold_what_a_dictionary_would(section: int, entities: int) -> None:
    """In one call or in many, with room for all or growing several times."""
    hashes, clocks, amounts = events = made_up(6 * ROOM, entities, seed=section)
    once, often = OpenTiles(), OpenTiles()
    once.count(hashes, clocks, amounts, section, WANTED)
    for rows in np.array_split(np.arange(len(clocks)), 40):
        often.count(hashes[rows], clocks[rows], amounts[rows], section, WANTED)
    expected = counted(events, section)
    assert held(once.rows) == held(often.rows) == expected
    assert len(expected) > ROOM or entities == 3
    assert set(once.rows[:, R_SECTION].tolist()) == {section}


def test_closed_tiles_are_given_once_and_open_ones_count_on() -> None:
    """What stands before the first wanted tile is forgotten: it was closed before."""
    hashes, clocks, amounts = made_up(2_000, 50, seed=7)
    tiles = OpenTiles()
    tiles.count(hashes, clocks, amounts, layout.S_MINUTE, WANTED)
    before, start = held(tiles.rows), int(clocks[0]) // layout.MINUTE
    closed = tiles.close(start + 5, start + 60)
    expected = {key: sums for key, sums in before.items() if start + 5 <= key[2] < start + 60}
    assert held(closed) == expected
    tiles.count(hashes, clocks, amounts, layout.S_MINUTE, WANTED)
    twice = held(tiles.rows)
    for key, (count, total, _) in before.items():
        times = 2 if key[2] >= start + 60 else 1
        assert twice[key][:2] == [times * count, times * total]


def test_one_name_may_be_a_merchants_and_a_devices() -> None:
    """Kinds of entities share no tile, although their hashes are equal."""
    hashes, clocks, amounts = made_up(10, 1, seed=1)
    hashes[:, H_DEVICE] = hashes[:, H_MERCHANT]
    tiles = OpenTiles()
    tiles.count(hashes, clocks, amounts, layout.S_DAY, WANTED)
    assert sorted(tiles.rows[:, R_KIND].tolist()) == [0, 1]


def test_labels_add_up_and_are_taken_back() -> None:
    """A tile of labels has their number, and the frauds less those that were none after all."""
    tiles = OpenTiles()
    tiles.add(label_tiles(np.array([(5, 1, 1), (5, 1, -1), (5, 2, 1), (6, 1, 1), (5, 1, -1)])))
    assert held(tiles.rows) == {(0, 5, 1): [3, -1, 0], (0, 5, 2): [1, 1, 0], (0, 6, 1): [1, 1, 0]}


def test_tiles_added_twice_count_twice_and_unite_their_bits() -> None:
    """Bits of one tile and of another are both set afterwards."""
    one, other, both = OpenTiles(), OpenTiles(), OpenTiles()
    first, second = made_up(40, 2, seed=3), made_up(40, 2, seed=3)
    second[0][:, H_CARD] += 1
    for tiles, events in ((one, first), (other, second), (both, first), (both, second)):
        tiles.count(*events, layout.S_HOUR, WANTED)
    one.add(other.rows.copy())
    assert held(one.rows) == held(both.rows)


def test_only_sections_that_somebody_reads_are_counted() -> None:
    """An entity without a window of minutes has no tiles by the minute; the same of the others."""
    event = {
        **{"partition": 0, "offset": 0, "timestamp_us": 1_750_000_000_000_000, "amount_minor": 1},
        **{"schema_version": 1, "transaction_id": "t", "event_time": 1_750_000_000_000_000},
        **{"card_id": "c", "merchant_id": "m", "device_id": "d", "ip_prefix": "n"},
    }
    folder = TileFolder({(EVENTS, 0): Place()}, {EVENTS: 0, LABELS: 0})
    folder.events(0, pa.Table.from_pylist([event], schema=EVENT_SCHEMA), 1)
    folder.promise((EVENTS, 0), 1, 2_000_000_000_000)
    rows = folder.close()
    found = {(int(row[R_KIND]), int(row[R_SECTION])) for row in rows}
    kinds = {entity: kind for kind, entity in enumerate(SHARED_ENTITIES)}
    read = {(kinds[p.entity], section) for p in FEATURE_SET.shared for section in p.sections}
    assert found == {(kind, section) for kind, section in read if section != layout.S_LABEL}
    assert len(found) < 3 * len(SHARED_ENTITIES)


def test_a_cards_bit_follows_from_its_hash_alone() -> None:
    """The remainder of the hash as an unsigned number."""
    hashes = np.array([0, 1, -1, layout.BITS + 3, -LONGEST], dtype=np.int64)
    expected = (hashes.view(np.uint64) % np.uint64(layout.BITS)).astype(np.int64)
    assert card_bits(hashes).tolist() == expected.tolist()
