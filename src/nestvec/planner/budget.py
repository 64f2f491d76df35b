"""What a plan may cost, read from a line such as ``200MB, p95 10ms``."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, fields

from nestvec.core.errors import InputError
from nestvec.core.types import JSON

_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {"kib": 2**10, "mib": 2**20, "gib": 2**30}
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_PART = re.compile(r"(?P<number>\d+(?:[.,]\d+)?|[.]\d+)\s*(?P<unit>[a-zµ%]*)")
_DIALS = {"ram": "ram", "memory": "ram", "disk": "disk", "p50": "p50", "p95": "p95", "keep": "keep"}
_HOW = "Write a budget as '200MB, 1GB disk, p95 10ms, keep 0.98': any of them, with commas between."


@dataclass(frozen=True)
class Budget:
    """What a plan may cost at most, and keep at least; None where anything goes.

    Args:
        ram: bytes of codes, of what they are searched with, and of the encoder, in the memory of one process.
        disk: bytes of vectors and codes in files; records and metadata are not counted, no dial turns them.
        p50: seconds from a query's text to its answer, of half of the queries.
        p95: the same of 19 in 20.
        keep: part of the full size's quality, above 0, at most 1.

    Raises:
        InputError: a value is not above 0, or ``keep`` is above 1.
    """

    ram: int | None = None
    disk: int | None = None
    p50: float | None = None
    p95: float | None = None
    keep: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (0 < value < math.inf):
                raise InputError(f"{field.name} of a budget must be above 0, got {value}.")
        if self.keep is not None and self.keep > 1:
            raise InputError(
                f"keep must be a part of the full size's quality, at most 1, got {self.keep}. Write 0.98 or 98%."
            )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read parts with commas between: an amount, and what it is of.

        Bytes (``kB MB GB`` of 1,000, ``KiB MiB GiB`` of 1,024) are of memory unless ``disk`` stands with them; times
        (``us ms s``) need ``p50`` or ``p95``; a share (``0.98`` or ``98%``) needs ``keep``. An empty text is no budget.

        Raises:
            InputError: a part cannot be read, or a dial comes twice.
        """
        found: dict[str, float] = {}
        for part in (p.strip() for p in text.split(", ")) if text.strip() else ():
            dial, value = _read(part.strip(","), text)
            if dial in found:
                raise InputError(f"a budget must say {dial} once, got it twice in {text!r}.")
            found[dial] = value
        sizes = {dial: int(value) for dial, value in found.items() if dial in ("ram", "disk")}
        return cls(**(found | sizes))  # type: ignore[arg-type]  # bytes are whole numbers now

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return dict(asdict(self))


def _read(part: str, text: str) -> tuple[str, float]:
    """One part: which dial, and how much."""
    words = part.lower().replace("<=", " ").replace("<", " ").replace(">=", " ").replace("=", " ")
    dials = [word for word in words.split() if word in _DIALS]
    amount = " ".join(word for word in words.split() if word not in _DIALS)
    match = _PART.fullmatch(amount)
    if match is None or len(dials) > 1:
        raise InputError(f"a part of a budget must be one amount and what it is of, got {part!r} in {text!r}. {_HOW}")
    dial = _DIALS[dials[0]] if dials else None
    number, unit = float(match["number"].replace(",", ".")), match["unit"]
    if unit in _BYTES and dial in (None, "ram", "disk"):
        return dial or "ram", number * _BYTES[unit]
    if unit in _SECONDS and dial in ("p50", "p95"):
        return dial, number * _SECONDS[unit]
    if unit in ("", "%") and dial == "keep":
        return dial, number / 100 if unit else number
    if unit in _SECONDS and dial is None:
        raise InputError(f"a time must say of how many queries, as in 'p95 {amount}', got {part!r} in {text!r}.")
    raise InputError(f"{part!r} in the budget {text!r} must have a unit that fits. {_HOW}")
