"""Every error that nestvec raises, in one tree.

::

    NestvecError
    ├── InputError (ValueError)          what came in cannot be used
    │   ├── ShapeError                   an array has the wrong shape
    │   ├── NotFiniteError               an array holds NaN or infinity
    │   ├── UnknownNameError             no such part, field or setting
    │   ├── FilterError                  a metadata filter is malformed
    │   ├── BudgetError                  nothing of that kind is that small
    │   └── SpaceMismatchError           vectors of two different spaces met
    ├── NotFoundError (KeyError)         no row has that id
    ├── MissingExtraError (ImportError)  an optional library is not installed
    └── StoreError (OSError)             what is on disk cannot be used
        ├── NoCollectionError            there is no collection at that path
        ├── FormatError                  written by a nestvec that this one cannot read
        ├── VersionError                 that version does not exist, or no longer
        ├── CorruptError                 a checksum does not match
        ├── LockedError                  another process is writing
        └── DiskError                    the disk is full, read-only, or failing

A message is a sentence in three parts: what must hold, what came, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Comparable(Protocol):
    """What an error needs to know of a :class:`~nestvec.core.space.Space`; errors know no other noun."""

    def differences(self, other: Any) -> Iterable[tuple[str, Any, Any]]:
        """``(field, mine, theirs)`` for every field that matters and differs."""
        ...


class NestvecError(Exception):
    """The root: ``except NestvecError`` catches everything that nestvec raises on purpose."""


class InputError(NestvecError, ValueError):
    """What came in cannot be used."""


class ShapeError(InputError):
    """An array has the wrong shape."""


class NotFiniteError(InputError):
    """An array holds NaN or infinity."""


class UnknownNameError(InputError):
    """No part, field or setting has that name."""


class FilterError(InputError):
    """A metadata filter is malformed."""


class BudgetError(InputError):
    """Nothing of that kind is that small.

    Args:
        what: what was to be made, as the start of a sentence.
        asked: bytes that were given.
        least: bytes that it takes at least.
    """

    def __init__(self, what: str, *, asked: int, least: int) -> None:
        super().__init__(
            f"{what} needs at least {least:,} bytes, got a budget of {asked:,}. Give more, or take another method."
        )
        self.asked, self.least = asked, least


class SpaceMismatchError(InputError):
    """Vectors of two different spaces met.

    Args:
        expected: the space that was there first.
        got: the space that came.
    """

    def __init__(self, expected: Comparable, got: Comparable) -> None:
        differs = ", ".join(f"{name} {a!r} and {b!r}" for name, a, b in expected.differences(got))
        super().__init__(
            f"vectors can be compared only inside one space, got {expected} and {got}, which differ in {differs}. "
            "Open the collection with the encoder that made it, or create a new collection for the new encoder."
        )
        self.expected = expected
        self.got = got


class NotFoundError(NestvecError, KeyError):
    """No row has that id."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would print the repr of the sentence


class MissingExtraError(NestvecError, ImportError):
    """An optional library is not installed.

    Args:
        need: what the library is needed for, as the start of a sentence.
        extra: the extra of nestvec that brings it.
    """

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(f"{need} needs a library that is not installed. Run: pip install 'nestvec[{extra}]'")
        self.extra = extra


class StoreError(NestvecError, OSError):
    """What is on disk cannot be used."""


class NoCollectionError(StoreError):
    """There is no collection at that path."""


class FormatError(StoreError):
    """The collection was written by a nestvec that this one cannot read."""


class VersionError(StoreError):
    """That version does not exist, or no longer."""


class CorruptError(StoreError):
    """A checksum does not match: the bytes on disk are not the bytes that were written."""


class LockedError(StoreError):
    """Another process holds the writer lock."""


class DiskError(StoreError):
    """The disk is full, read-only, or failing."""
