"""Reasons of a score: the features that push it up the most, one per reason code, as JSON."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import orjson
from numba import njit
from numpy.typing import NDArray

from features.definition import FeatureSet
from inference.reason_codes import reason_codes

Method = Literal["path", "tree_shap"]
Floats = NDArray[np.float64]

REASONS = 3
CONTRIBUTION_DIGITS = 4
NONE = -1


@dataclass(frozen=True, slots=True)
class ReasonMap:
    """Names and codes of features by their position in the vector.

    `groups` numbers the codes; `heads` is the JSON of a reason up to its contribution, by method.
    """

    names: tuple[str, ...]
    codes: tuple[str, ...]
    groups: NDArray[np.int32]
    heads: dict[Method, tuple[bytes, ...]]

    @classmethod
    def of(cls, feature_set: FeatureSet) -> "ReasonMap":
        """The map of a feature set."""
        return cls.made(feature_set.names, reason_codes(feature_set))

    @classmethod
    def made(cls, names: tuple[str, ...], codes: tuple[str, ...]) -> "ReasonMap":
        """A map from names and codes in vector order."""
        numbers = {code: number for number, code in enumerate(dict.fromkeys(codes))}
        groups = np.array([numbers[code] for code in codes], dtype=np.int32)
        methods: tuple[Method, ...] = ("path", "tree_shap")
        heads = {method: tuple(_heads(names, codes, method)) for method in methods}
        return cls(names, codes, groups, heads)


def _heads(names: Iterable[str], codes: Iterable[str], method: Method) -> Iterator[bytes]:
    for name, code in zip(names, codes, strict=True):
        fixed = orjson.dumps({"code": code, "feature": name, "method": method})
        yield fixed[:-1] + b',"contribution":'


def top_reasons(
    values: Floats, contributions: Floats, reason_map: ReasonMap, method: Method
) -> list[bytes]:
    """Up to `REASONS` reasons per row as a JSON array, the strongest first.

    Both arrays are [n, F]; contributions are to the log-odds. A feature that lowers the score is no
    reason; of features that share a code the strongest stands for all.
    """
    columns = strongest(contributions, reason_map.groups)
    rows, ranks = np.nonzero(columns != NONE)
    picked = columns[rows, ranks]
    numbers = np.empty((len(rows), 2))
    numbers[:, 0] = np.round(contributions[rows, picked], CONTRIBUTION_DIGITS)
    numbers[:, 1] = values[rows, picked]
    heads = reason_map.heads[method]
    written = [
        heads[column] + contribution + b',"value":' + value + b"}"
        for column, (contribution, value) in zip(picked.tolist(), _written(numbers), strict=True)
    ]
    ends = np.concatenate(([0], np.cumsum((columns != NONE).sum(axis=1)))).tolist()
    return [b"[" + b",".join(written[start:end]) + b"]" for start, end in pairwise(ends)]


def _written(numbers: Floats) -> Iterator[list[bytes]]:
    """Each row's numbers as JSON; one call for all is far faster than one per number."""
    body = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
    return (pair.split(b",") for pair in body[2:-2].split(b"],[") if pair)


def exact_where(
    rows: NDArray[np.int64],
    values: Floats,
    cheap: list[bytes],
    contributions: Callable[[Floats], Floats],
    reason_map: ReasonMap,
) -> list[bytes]:
    """The cheap reasons with those of `rows` replaced by exact ones, which cost far more a row."""
    if len(rows) == 0:
        return cheap
    chosen = values[rows]
    exact = top_reasons(chosen, contributions(chosen), reason_map, "tree_shap")
    for row, reasons in zip(rows.tolist(), exact, strict=True):
        cheap[row] = reasons
    return cheap


def strongest(contributions: Floats, groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """Columns of the `REASONS` largest positive values per row, one per group; `NONE` after them.

    Largest first; of equal ones the first column.
    """
    found = np.full((len(contributions), REASONS), NONE, dtype=np.int32)
    _pick(np.ascontiguousarray(contributions, dtype=np.float64), groups, found)
    return found


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _pick(contributions: Floats, groups: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    for row in range(len(contributions)):
        for rank in range(found.shape[1]):
            best, most = NONE, 0.0
            for column in range(contributions.shape[1]):
                if contributions[row, column] <= most:
                    continue
                is_taken = False
                for earlier in range(rank):
                    is_taken |= groups[found[row, earlier]] == groups[column]
                if not is_taken:
                    best, most = column, contributions[row, column]
            if best == NONE:
                break
            found[row, rank] = best


def load_kernel() -> None:
    """Compile the pick, or load it: a second on the first run."""
    strongest(np.zeros((1, 1)), np.zeros(1, dtype=np.int32))
