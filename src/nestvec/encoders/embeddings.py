"""A model's own token embeddings, read where they lie in its safetensors, without loading the model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nestvec.core.errors import CorruptError, InputError
from nestvec.core.types import Float32, Int64

_NAMES = (
    "embeddings.word_embeddings.weight",  # BERT, RoBERTa, MPNet, DistilBERT, XLM-R, ELECTRA
    "embeddings.tok_embeddings.weight",  # ModernBERT
    "embed_tokens.weight",  # Llama, Qwen, Mistral, Gemma
    "wte.weight",  # GPT-2
    "shared.weight",  # T5
)
_TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_MOST_HEADER = 100 << 20  # what the safetensors library allows


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Rows of tokens in a mapped file; only rows that are asked for are read.

    Args:
        values: ``[vocab, width]``, a memory map; bfloat16 as the upper halves of float32, in uint16.
    """

    values: np.ndarray = field(repr=False)

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return int(self.values.shape[1])

    def rows(self, ids: Int64[np.ndarray, " t"]) -> Float32[np.ndarray, "t w"]:
        """``[t]`` ids -> ``[t, width]`` float32."""
        found = self.values[ids]
        if found.dtype == np.uint16:
            found = (found.astype(np.uint32) << 16).view(np.float32)
        exact: Float32[np.ndarray, "t w"] = found.astype(np.float32)
        return exact


def open_embeddings(folder: Path) -> TokenTable:
    """Map the input embeddings of the model in ``folder``.

    Raises:
        InputError: no tensor there has a name or a type known to nestvec.
        CorruptError: a file is no safetensors file.
    """
    path, name = table_file(folder)
    start, header = _header(path)
    entry = header[name]
    kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if kind not in _TYPES or len(shape) != 2:
        raise InputError(f"{name} must be float32, float16 or bfloat16 [vocab, width], got {kind} {shape}.")
    dtype = np.dtype(_TYPES[kind]).newbyteorder("<")
    if end - begin != dtype.itemsize * shape[0] * shape[1] or start + end > path.stat().st_size:
        raise CorruptError(f"{str(path)!r} must hold all of {name}, got a file that is cut or damaged.")
    return TokenTable(np.memmap(path, dtype, "r", offset=start + begin, shape=shape))


def table_file(folder: Path) -> tuple[Path, str]:
    """The file that holds the input embeddings of the model in ``folder``, and their name in it.

    Raises:
        InputError: no tensor there has a name known to nestvec.
        CorruptError: a file is no safetensors file.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        _, header = _header(path)
        for name in sorted(header):
            if name.endswith(_NAMES):
                return path, name
    raise InputError(
        f"depth 0 without a ladder must have token embeddings under a known name ({', '.join(_NAMES)}), got "
        f"{str(folder)!r} with none. Fit a ladder for this model."
    )


def _header(path: Path) -> tuple[int, dict[str, dict]]:  # type: ignore[type-arg]  # as the file's JSON says
    """``(where the data starts, what the header says of each tensor)``."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(_MOST_HEADER, path.stat().st_size):
            raise CorruptError(f"{str(path)!r} must be a safetensors file, got a header of {size} bytes.")
        try:
            said = json.loads(file.read(size))
        except ValueError as cause:
            raise CorruptError(f"{str(path)!r} must be a safetensors file, got a header that is no JSON.") from cause
    if not isinstance(said, dict):
        raise CorruptError(f"{str(path)!r} must be a safetensors file, got a header that is no object.")
    return 8 + size, {name: entry for name, entry in said.items() if name != "__metadata__"}
