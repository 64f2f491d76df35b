"""A table that is served: numpy only, memory-mapped, no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nestvec.core.errors import FormatError, InputError, ShapeError
from nestvec.core.types import Array, Float32
from nestvec.tables.adaptive import Indexes, indexed, places
from nestvec.tables.method import Ids, Method, Places
from nestvec.tables.packing import Packed, Shapes, form_of, shapes
from nestvec.tables.saving import file_bytes, read, write
from nestvec.tables.sparse import pruned_shapes
from nestvec.tables.spec import TableSpec

_AT_ONCE = 1 << 13  # ids whose rows and places stay in a core's cache together
_FORMAT = "nestvec-table-1"
EXACT = "exact"
"""The part that holds the rows of exact fields."""
_INDEX = "index"


@dataclass(frozen=True)
class ArrayReading:
    """What a composer reads where a table is served.

    Args:
        held: the parts.
        places: what the index map said.
    """

    held: Mapping[str, Packed]
    places: Places

    def rows(self, part: str) -> Array:
        """``[n, k, w]``."""
        at = self.places[part]
        taken = self.held[part].take(at.reshape(-1))
        return taken.reshape(*at.shape, taken.shape[1])

    def matrix(self, part: str) -> Array:
        """``[rows, w]``."""
        return self.held[part].arrays()["values"]

    def constant(self, value: Array) -> Array:
        """The array itself."""
        return value

    def join(self, pieces: tuple[Array, ...], axis: int) -> Array:
        """One after another."""
        return np.concatenate(pieces, axis=axis)

    def normalise(self, mean: str, variance: str, x: Array) -> Array:
        """By the running mean and variance."""
        normal: Array = (x - self.matrix(mean)) / np.sqrt(self.matrix(variance) + np.float32(1e-5))  # what torch adds
        return normal

    def mish(self, x: Array) -> Array:
        """``x * tanh(log(1 + e^x))``."""
        soft: Array = x * np.tanh(np.logaddexp(np.float32(0), x))
        return soft


@dataclass(frozen=True)
class FrozenTable:
    """Rows of ids, read-only.

    Args:
        spec: what the table is.
        held: its parts, as they are stored.
        indexes: integers of its index map, if that is no formula.
    """

    spec: TableSpec
    held: Mapping[str, Packed]
    indexes: Indexes = field(default_factory=dict)

    def rows(self, ids: Array) -> Float32[np.ndarray, "*batch dim"]:
        """``[...]`` ids -> ``[..., dim]`` rows; zeros where the id is -1.

        Raises:
            InputError: an id is no whole number, or none of the table.
        """
        ids = np.asarray(ids)
        flat = self.spec.check(ids)
        out = np.zeros((len(flat), self.spec.dim), np.float32)
        for start in range(0, len(flat), _AT_ONCE):
            self._fill(flat[start : start + _AT_ONCE], out[start : start + _AT_ONCE])
        return out.reshape(*ids.shape, self.spec.dim)

    def bags(self, ids: Array, starts: Array, weights: Array | None = None) -> Float32[np.ndarray, "bags dim"]:
        """Weighted sums of rows, a bag each.

        Args:
            ids: ``[n]`` ids of all bags, one bag after another.
            starts: ``[bags]`` where each begins, rising from 0; a bag ends where the next begins, and may be empty.
            weights: ``[n]`` float32, or None for 1.

        Returns:
            ``[bags, dim]``; zeros for an empty bag. Divide by the sums of the weights for means.

        Raises:
            ShapeError: ``starts`` does not begin at 0, falls, or passes the end; weights of another length.
        """
        ids, starts = np.asarray(ids), np.asarray(starts)
        check_bags(len(ids), starts, None if weights is None else len(weights))
        rows = self.rows(ids) if weights is None else self.rows(ids) * np.asarray(weights, np.float32)[:, None]
        out = np.zeros((len(starts), self.spec.dim), np.float32)
        np.add.at(out, np.repeat(np.arange(len(starts)), np.diff(starts, append=len(ids))), rows)
        return out

    @property
    def nbytes(self) -> int:
        """Bytes of its file: everything that is needed to serve it, with the header."""
        return file_bytes(
            {name: (value.dtype.name, value.shape) for name, value in self._arrays().items()}, self._notes()
        )

    def save(self, path: str | os.PathLike[str], *, notes: Mapping[str, str] | None = None) -> None:
        """Write one safetensors file; an older one of that name is replaced whole or not at all.

        Raises:
            DiskError: the disk refuses.
        """
        write(path, self._arrays(), {**self._notes(), **(notes or {})})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, verify: bool = True) -> FrozenTable:
        """Open what :meth:`save` wrote; the arrays are memory maps.

        Args:
            path: the file.
            verify: check every array first, which reads the file once.

        Raises:
            DiskError, FormatError, CorruptError: see :func:`~nestvec.tables.saving.read`.
        """
        arrays, notes = read(path, verify=verify)
        if notes.get("format") != _FORMAT:
            raise FormatError(f"{path} must be a table of format {_FORMAT}, got {notes.get('format')!r}.")
        try:
            spec = TableSpec.from_json(notes["spec"])
            forms: dict[str, str] = json.loads(notes["forms"])
            held = {
                part: form_of(form, {n.partition(".")[2]: a for n, a in arrays.items() if n.partition(".")[0] == part})
                for part, form in forms.items()
            }
        except (KeyError, ValueError, TypeError) as cause:
            raise FormatError(f"{path} must describe its table: {cause}") from cause
        indexes = {n.partition(".")[2]: a for n, a in arrays.items() if n.partition(".")[0] == _INDEX}
        table = cls(spec, held, indexes)
        table._check(path)
        return table

    def _check(self, path: str | os.PathLike[str]) -> None:
        wanted = planned(self.spec)
        found = {name: value.shape for name, value in self._arrays().items()}
        for name, (_, shape) in wanted.items():
            exact = len(shape) > 1 or name.startswith(f"{_INDEX}.")
            if name not in found or (exact and found[name] != shape):
                raise FormatError(f"{path} must have {name} of shape {shape}, got {found.get(name)}.")

    def _fill(self, flat: Array, out: Array) -> None:
        real = flat >= 0
        whole = bool(real.all())
        small, rest, exact = self.spec.route(flat if whole else flat[real])
        method = self.spec.compressor
        if whole and small is None:
            out[:] = self._composed(method, rest)
            return
        made = np.empty((int(real.sum()), self.spec.dim), np.float32)
        if small is None:
            made[:] = self._composed(method, rest)
        else:
            made[small] = self.held[EXACT].take(exact)
            if method is not None and len(rest):
                made[~small] = self._composed(method, rest)
        out[real] = made

    def _composed(self, method: Method | None, ids: Ids) -> Any:
        if method is None or not len(ids):
            return np.zeros((len(ids), self.spec.dim), np.float32)
        return method.compose(ArrayReading(self.held, places(method, ids, self.indexes)), ids)

    def _arrays(self) -> dict[str, Array]:
        parts = {f"{part}.{name}": value for part, form in self.held.items() for name, value in form.arrays().items()}
        return parts | {f"{_INDEX}.{name}": value for name, value in self.indexes.items()}

    def _notes(self) -> dict[str, str]:
        return _notes(self.spec, {part: form.id for part, form in self.held.items()})


def check_bags(n: int, starts: Array, weights: int | None) -> None:
    """Return if ``starts`` cut ``n`` ids into bags, and there is a weight for each if there are any.

    Raises:
        InputError, ShapeError: they do not.
    """
    if starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise InputError(f"starts must be [bags] whole numbers, got {starts.dtype} of shape {starts.shape}.")
    if (n and not len(starts)) or (len(starts) and (starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] > n)):
        raise ShapeError(f"starts must rise from 0 to at most the {n} ids, got {starts[:8]}.")
    if weights is not None and weights != n:
        raise ShapeError(f"weights must be one an id, got {weights} for {n} ids.")


def planned(spec: TableSpec) -> Shapes:
    """The arrays of a table of that ``spec``, before there is one."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    if spec.exact_rows:
        plan = shapes(spec.codec, spec.exact_rows, spec.dim, whole=False)
        found |= {f"{EXACT}.{name}": shape for name, shape in plan.items()}
    for part, what in ({} if spec.compressor is None else spec.compressor.parts()).items():
        spelt = None if what.words is None else what.words.shapes(what.rows, what.width)
        plan = spelt or shapes(spec.codec, what.rows, what.width, whole=what.whole)
        if what.kept is not None:
            plan = pruned_shapes(spec.codec, what)
        found |= {f"{part}.{name}": shape for name, shape in plan.items()}
    looked_up = indexed(spec.compressor)
    kept = {} if looked_up is None else {name: index for name, index in looked_up.indexes().items() if index.served}
    return found | {f"{_INDEX}.{name}": (index.dtype, index.shape) for name, index in kept.items()}


def stored_bytes(spec: TableSpec) -> int:
    """Bytes of the file of a table of that ``spec``, before there is one: arrays, description, checksums.

    Where a structure has yet to be found, of the largest table that the search may end in.
    """
    spec = replace(spec, search="") if spec.search else spec
    found = planned(spec)
    parts = list(dict.fromkeys(name.partition(".")[0] for name in found if not name.startswith(f"{_INDEX}.")))
    forms = {part: _form(found, part) for part in parts}
    return file_bytes(found, _notes(spec, forms))


_TELLING = {"books": "product@1", "words": "spelt@1", "columns": "csr@1", "places": "coo@1", "lengths": "leading@1"}
"""Arrays that one form alone has."""


def _form(found: Shapes, part: str) -> str:
    for array, form in _TELLING.items():
        if f"{part}.{array}" in found:
            return form
    return "row_codes@1" if f"{part}.codes" in found else "floats@1"


def _notes(spec: TableSpec, forms: Mapping[str, str]) -> dict[str, str]:
    return {"format": _FORMAT, "spec": spec.to_json(), "forms": json.dumps(dict(forms), separators=(",", ":"))}
