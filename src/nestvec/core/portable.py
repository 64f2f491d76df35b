"""A part as named arrays, and back: what a saved file holds, and what a fingerprint covers.

A part is a frozen dataclass of arrays and numbers. Its arrays go under the names of its fields, its numbers as
arrays without dimensions, and its versioned name under ``id``, so that any container of named arrays
(safetensors, npz without pickle, a store) can keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, TypeVar

import numpy as np
import xxhash

from nestvec.core.errors import FormatError, InputError
from nestvec.core.types import Array

_ID = "id"
_Part = TypeVar("_Part", bound="Portable")


class Portable:
    """What a part can do by being a frozen dataclass of arrays and numbers with a versioned name."""

    id: ClassVar[str]

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any bit of it."""
        return fingerprint(self)

    def arrays(self) -> dict[str, Array]:
        """All of it by name, for :meth:`from_arrays`."""
        return to_arrays(self)

    @classmethod
    def from_arrays(cls: type[_Part], arrays: Mapping[str, Array]) -> _Part:
        """What :meth:`arrays` gave, bit for bit.

        Raises:
            FormatError: the arrays are of another part, or some are missing, unknown or not of plain numbers.
        """
        made: _Part = from_arrays(cls, arrays)
        return made


def to_arrays(part: Any) -> dict[str, Array]:
    """Every field of ``part`` as an array, and its ``id`` as UTF-8 bytes."""
    found: dict[str, Array] = {_ID: np.frombuffer(part.id.encode(), np.uint8)}
    for field in fields(part):
        if field.init:
            found[field.name] = np.asarray(getattr(part, field.name))
    return found


def id_of(arrays: Mapping[str, Array]) -> str:
    """The versioned name that :func:`to_arrays` wrote.

    Raises:
        FormatError: there is none.
    """
    name = arrays.get(_ID)
    if name is None or name.dtype != np.uint8 or name.ndim != 1:
        raise FormatError(f"a saved part must have its name under {_ID!r}, got the arrays {sorted(arrays)}.")
    return name.tobytes().decode("utf-8", "replace")


def from_arrays(cls: type[Any], arrays: Mapping[str, Array]) -> Any:
    """What :func:`to_arrays` was given, bit for bit.

    Raises:
        FormatError: the arrays are of another part, or some are missing, unknown or not of plain numbers.
        InputError: they do not fit together; the part says how.
    """
    if id_of(arrays) != cls.id:
        raise FormatError(f"these must be the arrays of {cls.id!r}, got those of {id_of(arrays)!r}.")
    wanted = {field.name for field in fields(cls) if field.init}
    if set(arrays) - {_ID} != wanted:
        raise FormatError(f"{cls.id} must have the arrays {sorted(wanted)}, got {sorted(set(arrays) - {_ID})}.")
    values: dict[str, Any] = {}
    for name in wanted:
        value = np.ascontiguousarray(arrays[name]) if arrays[name].ndim else arrays[name]
        if value.dtype.kind not in "biuf" or (value.dtype.kind == "f" and not np.isfinite(value).all()):
            raise FormatError(f"{name} of {cls.id} must be finite numbers, got {value.dtype} with {value.size} values.")
        values[name] = value if value.ndim else value.item()
    try:
        return cls(**values)
    except InputError as cause:
        raise FormatError(f"the arrays of {cls.id} must fit together: {cause}") from cause


def fingerprint(part: Any) -> str:
    """32 hexadecimal digits: equal for two parts exactly when they are saved alike."""
    digest = xxhash.xxh3_128()
    for name, value in sorted(to_arrays(part).items()):
        digest.update(f"{name}|{value.dtype.str}|{value.shape}|".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def nbytes(part: Any) -> int:
    """Bytes of the arrays of ``part``: what is stored once, however many vectors there are."""
    return sum(value.nbytes for name, value in to_arrays(part).items() if name != _ID)
