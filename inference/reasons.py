"""Reasons of a score: the features that push it up the most, one per reason code, in columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from features.definition import FeatureSet
from inference.reason_codes import reason_codes
from inference.reason_kernel import NONE, REASONS, strongest

Method = Literal["path", "tree_shap"]
METHODS: tuple[Method, ...] = ("path", "tree_shap")
Floats = NDArray[np.float64]
_NO_TEXT = (np.frombuffer(b"", dtype=np.uint8), np.zeros(1, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class ReasonMap:
    """Names and codes of features by their position in the vector.

    `groups` numbers the codes. The JSON of a reason up to its contribution stands in `heads` from
    `head_bounds[method, feature]` to the bound after it.
    """

    names: tuple[str, ...]
    codes: tuple[str, ...]
    groups: NDArray[np.int32]
    heads: NDArray[np.uint8]
    head_bounds: NDArray[np.int64]
    longest_head: int

    @classmethod
    def of(cls, feature_set: FeatureSet) -> "ReasonMap":
        """The map of a feature set."""
        return cls.made(feature_set.names, reason_codes(feature_set))

    @classmethod
    def made(cls, names: tuple[str, ...], codes: tuple[str, ...]) -> "ReasonMap":
        """A map from names and codes in vector order."""
        numbers = {code: number for number, code in enumerate(dict.fromkeys(codes))}
        groups = np.array([numbers[code] for code in codes], dtype=np.int32)
        heads = [head for method in METHODS for head in _heads(names, codes, method)]
        ends = np.cumsum([0, *map(len, heads)])
        width = len(names)
        bounds = [ends[width * m : width * (m + 1) + 1] for m in range(len(METHODS))]
        text = np.frombuffer(b"".join(heads), dtype=np.uint8)
        longest = max(map(len, heads), default=0)
        return cls(names, codes, groups, text, np.array(bounds, dtype=np.int64), longest)


def _heads(names: Iterable[str], codes: Iterable[str], method: Method) -> Iterator[bytes]:
    for name, code in zip(names, codes, strict=True):
        fixed = orjson.dumps({"code": code, "feature": name, "method": method})
        yield fixed[:-1] + b',"contribution":'


@dataclass(frozen=True, slots=True)
class Reasons:
    """Of n rows: `columns` int32 [n, REASONS] of features, NONE after the last one; `numbers`
    float64 [n, 2 REASONS], contribution and value of each; `methods` by place in METHODS.

    Where `texts` is not NONE a row's reasons are the JSON text of that number in `written`.
    """

    columns: NDArray[np.int32]
    numbers: Floats
    methods: NDArray[np.int64]
    texts: NDArray[np.int64]
    written: Sequence[bytes]
    of: ReasonMap

    def replaced(self, rows: Mapping[int, Sequence[dict[str, Any]]]) -> "Reasons":
        """The same but for rows whose reasons are given as messages hold them."""
        texts, written, columns = self.texts.copy(), list(self.written), self.columns.copy()
        for row, reasons in rows.items():
            texts[row], columns[row] = len(written), NONE
            written.append(orjson.dumps(reasons)[1:-1])
        numbers = self.numbers.copy()
        numbers[list(rows)] = np.nan
        return replace(self, texts=texts, written=written, columns=columns, numbers=numbers)

    def written_text(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The texts one after the other, and their bounds."""
        if not self.written:
            return _NO_TEXT
        bounds = np.array([0, *accumulate(map(len, self.written))], dtype=np.int64)
        return np.frombuffer(b"".join(self.written), dtype=np.uint8), bounds

    def of_row(self, row: int) -> list[dict[str, Any]]:
        """One row's reasons as messages hold them."""
        if self.texts[row] != NONE:
            found: list[dict[str, Any]] = orjson.loads(b"[" + self.written[self.texts[row]] + b"]")
            return found
        numbers = [None if v != v else v for v in self.numbers[row].tolist()]
        return [
            {
                "code": self.of.codes[column],
                "feature": self.of.names[column],
                "method": METHODS[self.methods[row]],
                "contribution": numbers[2 * rank],
                "value": numbers[2 * rank + 1],
            }
            for rank, column in enumerate(self.columns[row].tolist())
            if column != NONE
        ]


def ruled_reasons(rows: Sequence[Sequence[dict[str, Any]]], reason_map: ReasonMap) -> Reasons:
    """Reasons that rules gave."""
    size = len(rows)
    columns = np.full((size, REASONS), NONE, dtype=np.int32)
    numbers = np.full((size, 2 * REASONS), np.nan)
    return _made(columns, numbers, "path", reason_map).replaced(
        {row: reasons for row, reasons in enumerate(rows) if reasons}
    )


def top_reasons(
    values: Floats, contributions: Floats, reason_map: ReasonMap, method: Method
) -> Reasons:
    """Up to `REASONS` reasons per row, the strongest first.

    Both arrays are [n, F]; contributions are to the log-odds. A feature that lowers the score is no
    reason; of features that share a code the strongest stands for all.
    """
    shares = np.ascontiguousarray(contributions, dtype=np.float64)
    columns, numbers = strongest(shares, reason_map.groups, values)
    return _made(columns, numbers, method, reason_map)


def _made(columns: NDArray[np.int32], numbers: Floats, method: Method, of: ReasonMap) -> Reasons:
    methods, texts = np.empty((2, len(columns)), dtype=np.int64)
    methods.fill(METHODS.index(method))
    texts.fill(NONE)
    return Reasons(columns, numbers, methods, texts, (), of)


def exact_where(
    rows: NDArray[np.int64],
    values: Floats,
    cheap: Reasons,
    contributions: Callable[[Floats], Floats],
    reason_map: ReasonMap,
) -> Reasons:
    """The cheap reasons with those of `rows` replaced by exact ones, which cost far more a row."""
    if len(rows) == 0:
        return cheap
    chosen = values[rows]
    exact = top_reasons(chosen, contributions(chosen), reason_map, "tree_shap")
    for own, theirs in (
        (cheap.columns, exact.columns),
        (cheap.numbers, exact.numbers),
        (cheap.methods, exact.methods),
    ):
        own[rows] = theirs
    return cheap
