"""Objections against rows of a foreign table: the first one against a row is its reason."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.columns import field_checks
from producer.table_columns import UNREADABLE
from producer.table_spec import OPTIONAL_TEXTS


@dataclass(slots=True)
class Verdicts:
    """The first objection against each row; None where there is none."""

    code: NDArray[np.object_]
    message: NDArray[np.object_]

    @classmethod
    def none_yet(cls, count: int) -> "Verdicts":
        """No objection against any of `count` rows."""
        return cls(np.full(count, None, object), np.full(count, None, object))

    def refuse(self, bad: pa.Array | NDArray[np.bool_], code: str, message: str) -> None:
        """Object to the rows where `bad` is true; null is false."""
        fresh = _mask(bad) & (self.code == None)  # noqa: E711 - compares elementwise
        self.code[fresh] = code
        self.message[fresh] = message

    @property
    def is_accepted(self) -> NDArray[np.bool_]:
        """Rows that nobody objected to."""
        accepted: NDArray[np.bool_] = self.code == None  # noqa: E711 - compares elementwise
        return accepted


def _mask(bad: pa.Array | NDArray[np.bool_]) -> NDArray[np.bool_]:
    if isinstance(bad, np.ndarray):
        return bad
    mask: NDArray[np.bool_] = pc.fill_null(bad, False).to_numpy(zero_copy_only=False)
    return mask


def judge(table: pa.Table, verdicts: Verdicts) -> None:
    """Object to whatever the contract of a transaction refuses."""
    for name, holds in field_checks(table):
        verdicts.refuse(~holds, f"invalid_{name}", f"{name} is outside what a transaction allows")
    for name in ("transaction_id", "card_id", "merchant_id", *OPTIONAL_TEXTS):
        broken = pc.match_substring(table[name], UNREADABLE).combine_chunks()
        verdicts.refuse(broken, f"invalid_{name}", f"{name} is not text in the encoding")
