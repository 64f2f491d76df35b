"""A token table that is kept as codes: what stands in the place of a model's input embeddings. No torch here.

A file ``vocabulary.safetensors`` beside the weights of a model. A row is ``e_t = z_t B + c``: ``z_t`` are codewords
side by side (a byte a part says which), or int8 numbers with a scale; ``B`` and ``c`` may be left out.

Source: Jégou et al. 2011 (IEEE TPAMI 33(1)) for codewords in parts; Jaiswal and Liu 2023 (arXiv:2308.08688) for token
tables of shared sub-rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from nestvec.core.errors import CorruptError, FormatError, MissingExtraError
from nestvec.core.types import Array, Int64, Matrix

FILE = "vocabulary.safetensors"
FORMAT = "1"
_SHAPES = {"codes": 2, "codebooks": 3, "scale": 1, "back": 2, "centre": 1}
_TYPES = {"codes": "bu", "codebooks": "f", "scale": "f", "back": "f", "centre": "f"}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Rows of tokens, from fewer numbers than they have.

    Args:
        tensors: ``codes`` ``[n, m]`` uint8 with ``codebooks`` ``[m, k, w]``, or ``codes`` ``[n, r]`` int8 with
            ``scale`` ``[n]``; ``back`` ``[r, d]`` and ``centre`` ``[d]`` where there are any. Floats may be float16.
        dim: ``d``. Without ``back``, numbers that are missing at the end of a row are 0.
        method: how it was made, for people.

    Raises:
        FormatError: the tensors do not fit together.
    """

    tensors: Mapping[str, Array] = field(repr=False)
    dim: int
    method: str = ""

    def __post_init__(self) -> None:
        t = self.tensors
        for name, tensor in t.items():
            if name not in _SHAPES or tensor.ndim != _SHAPES[name] or tensor.dtype.kind not in _TYPES[name] + "i":
                raise FormatError(f"a vocabulary must not hold {name!r} as {tensor.dtype} {tensor.shape}.")
        if "codes" not in t or ("codebooks" in t) == ("scale" in t):
            raise FormatError(f"a vocabulary must have codes, and codebooks or a scale, got {sorted(t)}.")
        if "codebooks" in t:
            good = t["codes"].dtype == np.uint8 and t["codes"].shape[1] == len(t["codebooks"])
            good = good and (not t["codes"].size or int(t["codes"].max()) < t["codebooks"].shape[1])
        else:
            good = t["codes"].dtype == np.int8 and len(t["scale"]) == len(t["codes"])
        if "back" in t:
            good = good and t["back"].shape[0] <= self._width and t["back"].shape[1] == self.dim
        if not good or ("centre" in t and len(t["centre"]) != self.dim):
            shapes = {name: tensor.shape for name, tensor in t.items()}
            raise FormatError(f"the tensors of a vocabulary of {self.dim} dimensions must fit together, got {shapes}.")

    def __len__(self) -> int:
        return len(self.tensors["codes"])

    @property
    def nbytes(self) -> int:
        """Bytes of everything that is needed to make a row."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def _width(self) -> int:
        """Numbers in ``z``."""
        books = self.tensors.get("codebooks")
        return int(self.tensors["codes"].shape[1] if books is None else books.shape[0] * books.shape[2])

    @cached_property
    def _floats(self) -> dict[str, Array]:
        """What is small, as float32; the codes are used as they are."""
        return {name: tensor.astype(np.float32) for name, tensor in self.tensors.items() if tensor.dtype.kind == "f"}

    def rows(self, ids: Int64[np.ndarray, " t"]) -> Matrix:
        """``[t]`` token ids -> ``[t, d]`` float32."""
        codes, floats = self.tensors["codes"][ids], self._floats
        books = floats.get("codebooks")
        if books is None:
            z = codes * floats["scale"][ids][:, None]
        else:
            z = books[np.arange(len(books)), codes].reshape(len(ids), self._width)
        back = floats.get("back")
        if back is None:
            out = np.zeros((len(ids), self.dim), np.float32)
            kept = min(self.dim, z.shape[1])
            out[:, :kept] = z[:, :kept]
        else:
            out = z[:, : len(back)] @ back
        return out + floats["centre"] if "centre" in floats else out

    def save(self, path: Path) -> None:
        """Write it to a new file."""
        from safetensors.numpy import save_file

        whole = {name: np.ascontiguousarray(tensor) for name, tensor in self.tensors.items()}
        save_file(whole, path, metadata={"format": FORMAT, "dim": str(self.dim), "method": self.method})


def find_vocabulary(folder: Path) -> Path | None:
    """The file of a model whose token table is kept as codes, if it is one."""
    return next(iter(sorted(folder.rglob(FILE))), None)


def load_vocabulary(path: Path) -> Vocabulary:
    """Read what :meth:`Vocabulary.save` wrote.

    Raises:
        CorruptError: the file is damaged.
        FormatError: it is of another format.
        MissingExtraError: safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as cause:
        raise MissingExtraError("A vocabulary of codes", "text") from cause
    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except SafetensorError as cause:
        raise CorruptError(f"{str(path)!r} must hold safetensors: {cause}.") from cause
    if said.get("format") != FORMAT or not str(said.get("dim", "")).isdigit():
        raise FormatError(f"{str(path)!r} must be a vocabulary of format {FORMAT}, got {said.get('format')!r}.")
    return Vocabulary(tensors, int(said["dim"]), str(said.get("method", "")))
