"""From what was learnt to the tensors of a ladder, as small as they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Array, Matrix
from nestvec.training.student import LowRank, Student, TokenTable

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

Tensors = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Whole:
    """What a ladder holds for all depths together.

    Args:
        rotation: ``[d, d]``, columns are directions, best first; None to truncate.
        centre: ``[d]`` of the binariser.
        binary_rotation: ``[d, d]``, put after the centre is taken off.
    """

    rotation: Matrix | None
    centre: Array
    binary_rotation: Matrix


def head_tensors(heads: Mapping[int, tuple[Matrix, Array]]) -> Tensors:
    """``{depth: (W, b)}`` -> tensors, float16."""
    found: Tensors = {}
    for depth, (weight, bias) in heads.items():
        found[f"head.{depth}.weight"], found[f"head.{depth}.bias"] = _half(weight), _half(bias)
    return found


def student_tensors(student: Student, base: Any, *, dtype: str = "float16") -> Tensors:
    """Heads and changed layers of a student.

    Low-rank adapters are kept as they are, matrices trained in full become int8 changes, one scale a row, and
    whatever has one dimension takes the parameter's place.

    Args:
        student: trained.
        base: the transformers model that it was cut from.
        dtype: of adapters; ``float16``.

    Raises:
        InputError: a parameter was trained that the base does not have.
    """
    heads = {k: (_numpy(student.heads[str(k)].weight), _numpy(student.heads[str(k)].bias)) for k in student.depths}
    found = head_tensors(heads)
    if student.body is None:
        return found
    exact = dict(base.named_parameters())
    for path, module in student.body.named_modules():
        if isinstance(module, LowRank) and bool(module.up.detach().abs().max() > 0):
            found[f"lora.all.{path}.down"] = _numpy(module.down).astype(dtype)
            found[f"lora.all.{path}.up"] = _numpy(module.up).astype(dtype)
    for name, parameter in student.body.named_parameters():
        if not parameter.requires_grad or name.endswith((".down", ".up")):
            continue
        path = name.replace(".exact.", ".")
        if path not in exact:
            raise InputError(f"a student must be cut from its base, got {path} that the base does not have.")
        new, old = _numpy(parameter), _numpy(exact[path])
        if new.ndim == 1:
            found[f"value.all.{path}"] = _half(new)
        else:
            module_path = path.removesuffix(".weight")
            codes, scale = _rows_to_int8(new - old)
            found[f"delta.all.{module_path}.codes"], found[f"delta.all.{module_path}.scale"] = codes, scale
    return found


def table_tensors(table: TokenTable, *, rank: int | None = None) -> Tensors:
    """A token table as int8 codes with the weights of tokens in their scales.

    Only the direction of a vector counts, so projection and bias are scaled together to fit float16.
    """
    with torch.no_grad():
        rows = _numpy(table.codes[:, :rank] * table.log_weights.exp()[:, None])
        projection, bias = _numpy(table.projection[:rank]), _numpy(table.bias)
    top = np.abs(rows).max(axis=1) / 127
    most = float(top.max()) or 1.0
    scale = (top / most).astype(np.float16)
    largest = float(np.abs(projection).max()) or 1.0
    return {
        "table.codes": _codes(rows / most, scale),
        "table.scale": scale,
        "table.projection": _half(projection / largest),
        "table.bias": _half(bias / (largest * most)),
    }


def whole_tensors(whole: Whole) -> Tensors:
    """Rotation and binariser, float16; the format keeps directions as rows."""
    found = {} if whole.rotation is None else {"rotation": _half(whole.rotation.T)}
    return found | {
        "binariser.centre": whole.centre.astype(np.float32),
        "binariser.rotation": _half(whole.binary_rotation),
    }


def _rows_to_int8(x: Matrix) -> tuple[Array, Array]:
    """Codes and one scale a row; the scale is rounded first, so that the codes make good for it."""
    scale = (np.abs(x).max(axis=1) / 127).astype(np.float16)
    return _codes(x, scale), scale


def _codes(x: Matrix, scale: Array) -> Array:
    # A row too small for float16 becomes nothing.
    wide = scale.astype(np.float32)[:, None]
    steps = np.divide(x, wide, out=np.zeros_like(x), where=wide > 0)
    found: Array = np.clip(np.rint(steps), -127, 127).astype(np.int8)
    return found


def _numpy(x: Any) -> Array:
    found: Array = x.detach().float().cpu().numpy()
    return found


def _half(x: Array) -> Array:
    return np.ascontiguousarray(x, dtype=np.float16)
