"""What tensors a ladder may hold: their names, shapes, and kinds of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError

ADAPTER = re.compile(r"(lora|delta|value)\.(\d+|all)\.(.+)")
_HEAD = re.compile(r"head\.(\d+)\.(weight|bias)")
_SINGLE = (
    "table.codes", "table.scale", "table.projection", "table.bias",
    "rotation", "binariser.centre", "binariser.rotation",
)  # fmt: skip


def check(tensors: Mapping[str, np.ndarray], *, dim: int) -> None:
    """Return if every tensor has a known name, its company, a dtype of its kind, and a shape that fits."""
    for name, tensor in tensors.items():
        adapter = ADAPTER.fullmatch(name)
        if adapter is None and _HEAD.fullmatch(name) is None and name not in _SINGLE:
            raise InputError(f"a tensor of a ladder must have a name of the format, got {name!r}.")
        wanted = np.int8 if name.endswith(".codes") else np.floating
        if not np.issubdtype(tensor.dtype, wanted):
            raise InputError(f"{name} must be {wanted.__name__}, got {tensor.dtype}.")
        if wanted is np.floating and not np.isfinite(tensor).all():
            raise NotFiniteError(f"{name} must be finite, got NaN or infinity.")
        if adapter is not None and adapter[1] != "value":
            _require(tensors, _company(name), of=name)
    depths = {found[1] for name in tensors if (found := _HEAD.fullmatch(name))}
    for depth in depths:
        _require(tensors, [f"head.{depth}.weight"], of=f"head.{depth}.bias")
        _shape(tensors, f"head.{depth}.weight", (dim, None))
        _shape(tensors, f"head.{depth}.bias", (dim,))
    for name, shape in (
        ("rotation", (dim, dim)), ("binariser.centre", (dim,)), ("binariser.rotation", (dim, dim)),
        ("table.projection", (None, dim)), ("table.bias", (dim,)),
    ):  # fmt: skip
        _shape(tensors, name, shape)
    if any(name.startswith("table.") for name in tensors):
        _require(tensors, ["table.codes", "table.scale"], of="table")
        vocab, rank = _shape(tensors, "table.codes", (None, None))
        _shape(tensors, "table.scale", (vocab,))
        if "table.projection" in tensors:
            _shape(tensors, "table.projection", (rank, dim))
        elif rank != dim:
            raise ShapeError(f"table.codes must be [vocab, {dim}] without a projection, got [{vocab}, {rank}].")


def _company(name: str) -> list[str]:
    stem, part = name.rsplit(".", 1)
    both = ("down", "up") if name.startswith("lora.") else ("codes", "scale")
    if part not in both:
        raise InputError(f"{name} must end in .{both[0]} or .{both[1]}.")
    return [f"{stem}.{other}" for other in both]


def _require(tensors: Mapping[str, np.ndarray], names: Iterable[str], *, of: str) -> None:
    missing = [name for name in names if name not in tensors]
    if missing:
        raise InputError(f"a ladder with {of} must also have {', '.join(missing)}.")


def _shape(tensors: Mapping[str, np.ndarray], name: str, wanted: tuple[int | None, ...]) -> tuple[int, ...]:
    if name not in tensors:
        return ()
    got: tuple[int, ...] = tensors[name].shape
    if len(got) != len(wanted) or any(w is not None and w != g for w, g in zip(wanted, got, strict=True)):
        raise ShapeError(f"{name} must be {list(wanted)} (None for any), got {list(got)}.")
    return got
