"""A ladder: the few numbers that make a model usable at smaller sizes, in files beside it. No torch here.

A folder with two files. ``ladder.json`` says what it is and for which model; ``ladder.safetensors`` holds tensors:

| name | shape | meaning |
|---|---|---|
| ``head.{k}.weight``, ``head.{k}.bias`` | ``[dim, width]``, ``[dim]`` | ``v = W h + b``, ``h`` pooled at layer ``k`` |
| ``lora.{k}.{module}.down``, ``….up`` | ``[r, in]``, ``[out, r]`` | ``W' = W + up down`` |
| ``delta.{k}.{module}.codes``, ``….scale`` | ``[out, in]``, ``[out]`` | ``W' = W + scale * codes``, codes int8 |
| ``value.{k}.{parameter}`` | any | takes the parameter's place (biases, norms) |
| ``table.codes``, ``table.scale`` | ``[vocab, r]``, ``[vocab]`` | depth 0: ``e_t = scale_t * codes_t``, codes int8 |
| ``table.projection``, ``table.bias`` | ``[r, dim]``, ``[dim]`` | ``v = mean_t(e_t) P + b``; both may be left out |
| ``rotation`` | ``[dim, dim]`` | ``v' = R v``, best direction first |
| ``binariser.centre``, ``binariser.rotation`` | ``[dim]``, ``[dim, dim]`` | for one bit a dimension |

``{k}`` is a depth, or for ``lora``, ``delta`` and ``value`` also ``all``: whatever of it a cut model still has.
``{module}`` and ``{parameter}`` are paths inside the transformer (``encoder.layer.0.attention.self.query``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, final

import numpy as np

from nestvec.core.errors import CorruptError, FormatError, InputError, MissingExtraError, ShapeError
from nestvec.core.types import JSON
from nestvec.encoders.ladder_tensors import ADAPTER, check

FORMAT = 1
JSON_FILE = "ladder.json"
TENSOR_FILE = "ladder.safetensors"
_SHIPPED = Path(__file__).parent / "ladders"


@dataclass(frozen=True)
class Rung:
    """One depth of a ladder.

    Args:
        depth: layers that run.
        dims: the dims it was made for, widest first; others are cut from the widest, and work less well.
        kind: ``closed`` where a formula gave it, ``distilled`` where it was trained.
        figures: what was measured of it, such as ``{"stsb": 0.787, "stsb@128": 0.77}``; a name without ``@`` is of
            the full dim. ``stsb.low`` and ``stsb.high`` are the ends of its 95 % interval, ``stsb.full`` is what the
            full model has.
    """

    depth: int
    dims: tuple[int, ...]
    kind: Literal["closed", "distilled"]
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.depth < 0 or not self.dims or min(self.dims) < 1 or self.kind not in ("closed", "distilled"):
            raise InputError(f"a rung must have a depth >= 0, dims >= 1 and a known kind, got {self}.")


@dataclass(frozen=True, eq=False)
class Adapter:
    """A change to one weight or parameter of the transformer.

    Args:
        kind: ``lora``, ``delta`` or ``value``.
        path: of the module; for ``value``, of the parameter.
        parts: the tensors by the last part of their name; ``value`` has one, called ``value``.
        required: False where the path may be missing from a cut model.
    """

    kind: str
    path: str
    parts: Mapping[str, np.ndarray]
    required: bool

    def applied(self, weight: np.ndarray) -> np.ndarray:
        """The changed weight as float32, of the shape of ``weight``.

        Raises:
            ShapeError: the adapter is for a weight of another shape.
        """
        parts = {name: part.astype(np.float32) for name, part in self.parts.items()}
        if self.kind == "lora":
            change = parts["up"] @ parts["down"]
        elif self.kind == "delta":
            change = parts["codes"] * parts["scale"][:, None]
        else:
            change = parts["value"]
        if change.shape != weight.shape:
            raise ShapeError(f"{self.kind} of {self.path} must be {weight.shape}, got {change.shape}.")
        return change if self.kind == "value" else weight.astype(np.float32) + change


@final
@dataclass(frozen=True, eq=False)
class Ladder:
    """What makes one model usable at smaller sizes. Made by training, or by :meth:`load`.

    Args:
        base: fingerprint of the model it is for, the ``weights`` of that model's own space.
        name: what people call that model.
        tokenizer: fingerprint of its tokenizer, :attr:`Checkpoint.tokenizer`; all that depth 0 shares with it.
        dim: of a full vector.
        rungs: one per depth, shallowest first.
        tensors: as the table at the top of this module names them.
        recipe: how it was made, for people.
        licences: of the data it was fitted on.

    Raises:
        InputError: a tensor has an unknown name, or a part of it is missing.
        ShapeError: shapes do not fit together.
    """

    base: str
    name: str
    tokenizer: str
    dim: int
    rungs: tuple[Rung, ...]
    tensors: Mapping[str, np.ndarray] = field(repr=False)
    recipe: Mapping[str, JSON] = field(default_factory=dict)
    licences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        depths = [rung.depth for rung in self.rungs]
        if depths != sorted(set(depths)):
            raise InputError(f"rungs must have rising depths, got {depths}.")
        check(self.tensors, dim=self.dim)
        if 0 in depths and "table.codes" not in self.tensors:
            raise InputError("a rung of depth 0 must have a token table, got no tensor table.codes.")

    # ------------------------------------------------------------------ what is in it

    def rung(self, depth: int) -> Rung | None:
        """The rung of that depth, if there is one."""
        return next((rung for rung in self.rungs if rung.depth == depth), None)

    def head(self, depth: int) -> tuple[np.ndarray, np.ndarray] | None:
        """``(W [dim, width], b [dim])`` in float32 for the pooled state of that layer, if there is one."""
        weight = self.tensors.get(f"head.{depth}.weight")
        if weight is None:
            return None
        bias = self.tensors.get(f"head.{depth}.bias", np.zeros(len(weight), np.float32))
        return weight.astype(np.float32), bias.astype(np.float32)

    def adapters(self, depth: int) -> list[Adapter]:
        """What changes inside the transformer when it runs that deep; nothing where there is no such rung."""
        if self.rung(depth) is None:
            return []
        found: dict[tuple[str, str, bool], dict[str, np.ndarray]] = {}
        for name, tensor in sorted(self.tensors.items()):
            match = ADAPTER.fullmatch(name)
            if match is None or match[2] not in ("all", str(depth)):
                continue
            path, part = (match[3], "value") if match[1] == "value" else match[3].rsplit(".", 1)
            found.setdefault((match[1], path, match[2] != "all"), {})[part] = tensor
        return [Adapter(kind, path, parts, required) for (kind, path, required), parts in found.items()]

    def rotation(self, dim: int) -> np.ndarray | None:
        """``[dim, self.dim]`` float32: the leading directions, where a ladder has them and ``dim`` is not all."""
        rotation = self.tensors.get("rotation")
        return None if rotation is None or dim >= self.dim else rotation[:dim].astype(np.float32)

    def fingerprint(self, depth: int) -> str:
        """32 hexadecimal digits over all that decides vectors of that depth (sha256).

        Other rungs may be added or fitted again without changing it.
        """
        parts = [f"head.{depth}.", f"lora.{depth}.", f"delta.{depth}.", f"value.{depth}."]
        parts += ["table."] if depth == 0 else ["lora.all.", "delta.all.", "value.all."]
        whole = hashlib.sha256()
        for name in sorted(self.tensors):
            if name == "rotation" or name.startswith(tuple(parts)):
                tensor = self.tensors[name]
                whole.update(f"{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
                whole.update(np.ascontiguousarray(tensor).data)
        return whole.hexdigest()[:32]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def require(self, weights: str, *, name: str = "another model") -> None:
        """Return if ``weights`` is the fingerprint of the model that this ladder is for.

        Args:
            weights: ``encoder.space.weights`` of a model at full size.
            name: what people call that model, for the message.

        Raises:
            InputError: it is not; the message names both.
        """
        if weights != self.base:
            raise InputError(
                f"a ladder must be used with the model it was made for, {self.name} ({self.base[:8]}), got {name} "
                f"({weights[:8]}). Load that model, or fit a ladder for this one."
            )

    # ------------------------------------------------------------------ files

    def save(self, folder: str | Path) -> Path:
        """Write it as a folder, wholly or not at all, and return the folder. An older ladder there is replaced.

        Raises:
            InputError: the folder has something else in it.
        """
        target = Path(folder)
        if target.exists() and not (target / JSON_FILE).is_file() and any(target.iterdir()):
            raise InputError(f"a ladder must be saved in a new or empty folder, got {str(target)!r} with other files.")
        from safetensors.numpy import save

        target.parent.mkdir(parents=True, exist_ok=True)
        blob = save({name: np.ascontiguousarray(tensor) for name, tensor in self.tensors.items()})
        said = {
            "format": FORMAT,
            "base": {"name": self.name, "fingerprint": self.base, "tokenizer": self.tokenizer},
            "dim": self.dim,
            "rungs": [
                {"depth": r.depth, "dims": list(r.dims), "kind": r.kind, "figures": dict(r.figures)} for r in self.rungs
            ],
            "recipe": dict(self.recipe),
            "licences": list(self.licences),
            "tensors": {"file": TENSOR_FILE, "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()},
        }
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            _write(made / TENSOR_FILE, blob)
            _write(made / JSON_FILE, (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode())
            made.chmod(0o755)  # mkdtemp makes it private
            _sync(made)
            old = made.with_name(made.name + ".old")
            if target.exists():
                target.rename(old)
            made.rename(target)
            _sync(target.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Ladder:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: there is no ladder in that folder, or it is put together wrongly.
            FormatError: a later nestvec wrote it.
            CorruptError: the tensors are not those that were written.
            MissingExtraError: safetensors is not installed.
        """
        folder = Path(folder)
        said = _said(folder)
        try:
            rungs = tuple(
                Rung(int(r["depth"]), tuple(r["dims"]), r["kind"], dict(r.get("figures", {}))) for r in said["rungs"]
            )
            base, dim = said["base"], int(said["dim"])
            known = {
                "base": base["fingerprint"],
                "name": base["name"],
                "tokenizer": base["tokenizer"],
                "recipe": said.get("recipe", {}),
                "licences": tuple(said.get("licences", ())),
            }
            size, digest = int(said["tensors"]["bytes"]), said["tensors"]["sha256"]
        except (KeyError, TypeError, ValueError) as cause:
            raise InputError(f"{str(folder / JSON_FILE)!r} must describe a ladder, got {cause!r} wrong.") from cause
        return cls(dim=dim, rungs=rungs, tensors=_tensors(folder / TENSOR_FILE, size, digest), **known)


def shipped(weights: str) -> Path | None:
    """The folder of the ladder that comes with nestvec for the model of that fingerprint, if there is one."""
    for file in sorted(_SHIPPED.glob(f"*/{JSON_FILE}")):
        if _said(file.parent)["base"]["fingerprint"] == weights:
            return file.parent
    return None


def shipped_at_depth_0(name: str, tokenizer: str) -> Path | None:
    """As :func:`shipped`, by the model's name and its tokenizer's fingerprint: all that depth 0 depends on."""
    folder = _SHIPPED / name
    if not (folder / JSON_FILE).is_file():
        return None
    return folder if _said(folder)["base"]["tokenizer"] == tokenizer else None


def _said(folder: Path) -> dict[str, Any]:
    path = folder / JSON_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise InputError(f"a ladder must be a folder with {JSON_FILE} in it, got {str(folder)!r}.") from cause
    except ValueError as cause:
        raise CorruptError(f"{str(path)!r} must be JSON, got text that is not: {cause}.") from cause
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        got = said.get("format") if isinstance(said, dict) else type(said).__name__
        raise FormatError(f"{str(path)!r} must be of ladder format {FORMAT}, got {got!r}. Install a later nestvec.")
    return cast("dict[str, Any]", said)


def _tensors(path: Path, size: int, digest: str) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ImportError as cause:
        raise MissingExtraError("A ladder", "text") from cause
    blob = path.read_bytes() if path.is_file() else b""
    if len(blob) != size or hashlib.sha256(blob).hexdigest() != digest:
        raise CorruptError(f"{str(path)!r} must be the {size} bytes that {JSON_FILE} names, got {len(blob)} others.")
    try:
        return dict(load(blob))
    except SafetensorError as cause:
        raise CorruptError(f"{str(path)!r} must hold safetensors: {cause}.") from cause


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
