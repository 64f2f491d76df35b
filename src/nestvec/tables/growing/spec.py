"""What a growing table is, for good, and how full it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from nestvec.core.errors import FormatError, InputError
from nestvec.core.types import JSON
from nestvec.tables.growing.rows import Record
from nestvec.tables.growing.slots import LOAD

NULL, UNKNOWN, FIRST = 0, 1, 2
"""The row of None and NaN, the row of keys without one, and the first row that a key can get."""

_LEAST_CAP = 1 << 20
_MOST_ROWS = (1 << 31) - 2
_FIXED = 0.04  # of the cap: what a batch needs


@dataclass(frozen=True)
class GrowingSpec:
    """Pinned when a table is made.

    Args:
        dim: numbers in a row.
        cap: bytes of memory that the table may take; rows lie on disk, and the cap bounds how many keys it can hold.
        dtype: of the values, ``float32`` or ``int8`` with a scale a row.
        admit_after: a key gets a row when it has come that often; 1 for at once.
        expiry: remember when and how often each row was used, for ``expire`` and ``full="least_used"``.
        full: what happens to a new key when every row is taken: ``unknown``, it shares the row of unknown keys; or
            ``least_used``, the tenth of the rows that was used least makes room.
        spread: rows start uniform in ``±spread``.
        seed: of the hashes.

    Raises:
        InputError: a number is out of range, or ``least_used`` is asked for without ``expiry``.
    """

    dim: int
    cap: int = 64 << 20
    dtype: str = "float32"
    admit_after: int = 1
    expiry: bool = False
    full: str = "unknown"
    spread: float | int = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1 or not 1 <= self.admit_after <= 65535 or not 0 <= self.spread < 1e6:
            raise InputError(f"dim must be at least 1, admit_after 1 to 65535 and spread 0 to 1e6, got {self}.")
        if self.dtype not in ("float32", "int8") or self.full not in ("unknown", "least_used"):
            raise InputError(
                f"dtype must be float32 or int8 and full unknown or least_used, got {self.dtype!r} and {self.full!r}."
            )
        if self.full == "least_used" and not self.expiry:
            raise InputError("full='least_used' must know how rows are used. Pass expiry=True as well.")
        if self.cap < _LEAST_CAP:
            raise InputError(f"cap must be at least {_LEAST_CAP} bytes (1 MB), got {self.cap}.")

    @property
    def record(self) -> Record:
        """How a row is kept on disk."""
        return Record(self.dim, self.dtype)

    @property
    def memory_per_row(self) -> float:
        """Bytes: fingerprint 12, field 1, flags 1, 4 / 0.8 of the index, and 8 more with expiry."""
        return 12 + 1 + 1 + 4 / LOAD + (8 if self.expiry else 0)

    @property
    def sketch_bytes(self) -> int:
        """Counts of keys without a row: a sixteenth of the cap, nothing where every key gets one at once."""
        return self.cap // 16 if self.admit_after > 1 else 0

    @property
    def mapped_rows(self) -> int:
        """Rows in use up to which they and all else fit under the cap together."""
        room = self.cap * (1 - _FIXED) - self.sketch_bytes
        return min(int(room / (self.memory_per_row + self.record.width)), self.most_rows)

    @property
    def most_rows(self) -> int:
        """Rows there is room for under the cap, the two that belong to no key among them."""
        return min(int((self.cap * (1 - _FIXED) - self.sketch_bytes) / self.memory_per_row), _MOST_ROWS)

    def to_json(self) -> dict[str, Any]:
        """As a table's description keeps it."""
        return asdict(self)


def spec_of(said: Mapping[str, JSON], *, where: Path) -> GrowingSpec:
    """What :meth:`GrowingSpec.to_json` gave.

    Raises:
        FormatError: it has names that this nestvec does not know, or lacks some.
    """
    try:
        return GrowingSpec(**cast("dict[str, Any]", dict(said)))
    except TypeError as cause:
        raise FormatError(f"{where} must describe a table that this nestvec knows, got {dict(said)}.") from cause


@dataclass(frozen=True)
class Occupancy:
    """How full a table is.

    Args:
        rows: keys that have one.
        most: that there is room for.
        fields: ``{field: rows}``.
        refused: keys that came while every row was taken, since the table was opened.
        expired: rows taken away, since the table was opened.
        memory: bytes that its arrays take, whether or not they have been touched yet.
        disk: bytes of the rows in use.
    """

    rows: int
    most: int
    fields: dict[str, int]
    refused: int
    expired: int
    memory: int
    disk: int

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {rows:,}" for name, rows in self.fields.items()) or "none"
        return (
            f"{self.rows:,} of {self.most:,} rows ({self.rows / max(self.most, 1):.1%}): {parts}; "
            f"{self.memory / 1e6:.1f} MB of memory, {self.disk / 1e6:.1f} MB of rows"
        )
