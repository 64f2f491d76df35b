"""Heads on token states: a projection for late interaction, weights for sparse vectors, a score for selection.

They lie in the folder of a model, as BGE-M3 keeps them (``colbert_linear`` and ``sparse_linear``, in safetensors or as
a PyTorch file of plain tensors), or in a folder of their own with ``heads.json`` and ``heads.safetensors``, as
:func:`nestvec.training.heads.fit_heads` makes them for a model that has none. No torch here until a PyTorch file is
read.

Source: Chen et al. 2024, sec. 3.2 (arXiv:2402.03216), for the heads and their scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from nestvec.core.errors import CorruptError, FormatError, InputError, MissingExtraError, NotFiniteError, ShapeError
from nestvec.core.types import JSON, Float32

FORMAT = 1
JSON_FILE, TENSOR_FILE = "heads.json", "heads.safetensors"
BESIDE_MODEL = {"multi": "colbert_linear", "sparse": "sparse_linear"}
_KINDS = ("multi", "sparse", "select")
_PARTS = ("weight", "bias")
_MOST_BYTES = 256 << 20  # of a PyTorch file; a projection of 4,096 dims to 4,096 in float32 is 64 MiB


@final
@dataclass(frozen=True, eq=False)
class Linear:
    """``y = W x + b`` of a token state.

    Args:
        weight: ``W`` ``[o, h]``.
        bias: ``b`` ``[o]``; zeros where the file has none.
    """

    weight: Float32[np.ndarray, "o h"]
    bias: Float32[np.ndarray, " p"]

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ShapeError(
                f"a head must have a weight [o, h] and a bias [o], got {self.weight.shape} and {self.bias.shape}."
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise NotFiniteError("a head must be finite, got NaN or infinity.")

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray]) -> Linear:
        """From tensors called ``weight`` and, perhaps, ``bias``."""
        if "weight" not in tensors:
            raise FormatError(f"a head must have a tensor called weight, got {sorted(tensors)}.")
        weight = np.ascontiguousarray(tensors["weight"], np.float32)
        bias = tensors.get("bias", np.zeros(weight.shape[:1]))
        return cls(weight, np.ascontiguousarray(bias, np.float32))


@final
@dataclass(frozen=True, eq=False)
class Heads:
    """What a model gives of its token states besides one vector.

    Args:
        multi: ``[d, h]``, to the vector of a token; None for the state itself.
        sparse: ``[1, h]``, to the weight of a token: ``max(0, w . h + b)``; None for no sparse vectors.
        select: ``[1, h]``, to a score by which the best tokens of a text are kept; None for none.
        base: fingerprint of the model they are for; empty for those that lie in its folder.
        like_m3: True for BGE-M3's own reading: only the first token has no vector; punctuation has one.
        recipe: how they were made, for people.
    """

    multi: Linear | None = None
    sparse: Linear | None = None
    select: Linear | None = None
    base: str = ""
    like_m3: bool = False
    recipe: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        widths = {head.weight.shape[1] for head in self.linears.values()}
        if len(widths) > 1:
            raise ShapeError(f"heads must be for states of one width, got {sorted(widths)}.")
        for name in ("sparse", "select"):
            head = self.linears.get(name)
            if head is not None and len(head.weight) != 1:
                raise ShapeError(f"the {name} head must give one number, got a weight of shape {head.weight.shape}.")

    @classmethod
    def of(cls, source: Heads | str | Path | None, *, folder: Path) -> Heads:
        """Heads as they are, from a folder of heads, for ``default`` from the folder of the model, or none at all.

        Raises:
            InputError: the folder has no heads.
        """
        if isinstance(source, Heads):
            return source
        if source is None:
            return cls()
        return cls.load(Path(source)) if source != "default" else cls.beside(folder) or cls()

    @property
    def linears(self) -> dict[str, Linear]:
        """Those that are there, by name."""
        found = {name: getattr(self, name) for name in _KINDS}
        return {name: head for name, head in found.items() if head is not None}

    def fingerprint(self, *names: str) -> str:
        """32 hexadecimal digits over the heads of those names."""
        whole = hashlib.sha256(str(self.like_m3).encode())
        for name in names:
            head = self.linears.get(name)
            whole.update(name.encode())
            if head is not None:
                whole.update(str(head.weight.shape).encode() + head.weight.tobytes() + head.bias.tobytes())
        return whole.hexdigest()[:32]

    def require(self, weights: str, *, name: str) -> None:
        """Return if the heads are for the model with that fingerprint.

        Raises:
            InputError: they are for another.
        """
        if self.base and self.base != weights:
            raise InputError(
                f"heads must be for the model they are used with, got heads for {self.base[:8]} and {name}, "
                f"{weights[:8]}. Fit heads for this model."
            )

    # ------------------------------------------------------------------ on disk

    def save(self, folder: Path) -> None:
        """Write ``heads.json`` and ``heads.safetensors``; the folder is made if need be."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"{name}.{part}": getattr(head, part) for name, head in self.linears.items() for part in _PARTS}
        save_file(tensors, folder / TENSOR_FILE)
        said = {"format": FORMAT, "base": self.base, "like_m3": self.like_m3, "recipe": dict(self.recipe)}
        (folder / JSON_FILE).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Heads:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: there are no heads.
            FormatError: a later nestvec wrote them.
            CorruptError: a file is damaged.
        """
        if not (folder / JSON_FILE).is_file():
            raise InputError(f"a folder of heads must have a {JSON_FILE}, got {str(folder)!r} without.")
        try:
            said = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
            number, base, like_m3, recipe = (said[key] for key in ("format", "base", "like_m3", "recipe"))
        except (ValueError, KeyError, TypeError) as cause:
            raise CorruptError(f"{JSON_FILE} in {str(folder)!r} must say what the heads are, got {cause!r}.") from cause
        if number != FORMAT:
            raise FormatError(f"heads must be of format {FORMAT}, got {number}. Use a later nestvec.")
        tensors = _read_safetensors(folder / TENSOR_FILE)
        grouped: dict[str, dict[str, np.ndarray]] = {}
        for name, tensor in tensors.items():
            kind, _, part = name.partition(".")
            if kind not in _KINDS or part not in _PARTS:
                raise FormatError(f"a tensor of heads must have a name of the format, got {name!r}.")
            grouped.setdefault(kind, {})[part] = tensor
        made = {kind: Linear.of(parts) for kind, parts in grouped.items()}
        return cls(**made, base=str(base), like_m3=bool(like_m3), recipe=recipe)

    @classmethod
    def beside(cls, folder: Path) -> Heads | None:
        """The heads that lie in the folder of a model; None where it has none.

        Raises:
            CorruptError: a file is no safetensors file, or no PyTorch file of plain tensors.
        """
        made = {}
        for kind, stem in BESIDE_MODEL.items():
            paths = [path for end in (".safetensors", ".pt") if (path := folder / f"{stem}{end}").is_file()]
            for path in paths[:1]:
                made[kind] = Linear.of(_read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path))
        return cls(**made, like_m3=True) if made else None  # type: ignore[arg-type]  # by kind


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as cause:
        raise MissingExtraError("Heads", "text") from cause
    try:
        found: dict[str, np.ndarray] = load_file(path)
    except (OSError, SafetensorError) as cause:
        raise CorruptError(f"{str(path)!r} must be a safetensors file, got {cause}.") from cause
    return found


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a PyTorch file, read in the mode that makes tensors and plain containers only."""
    try:
        import torch
    except ImportError as cause:
        raise MissingExtraError("Heads in a PyTorch file", "text") from cause
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"a head must be at most {_MOST_BYTES >> 20} MiB, got {path.stat().st_size >> 20} MiB.")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # a damaged or hostile file fails in as many ways as there are bytes
        raise CorruptError(
            f"{str(path)!r} must be a PyTorch file of plain tensors, got {type(cause).__name__}. Save the head again, "
            "best as safetensors."
        ) from cause
    if not isinstance(found, dict) or not all(isinstance(x, torch.Tensor) for x in found.values()):
        raise CorruptError(f"{str(path)!r} must hold named tensors, got {type(found).__name__}.")
    return {str(name): tensor.float().numpy() for name, tensor in found.items()}
