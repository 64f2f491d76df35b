"""``compress_vocab``: a model whose token table takes a fiftieth of its bytes, without labels and without training.

The table of a small model is most of it: 47 of the 91 MB of all-MiniLM-L6-v2. What is fitted are codes for its rows,
weighted by how often a token comes; the layers stay as they are and read the rows that the codes give.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.codecs import CODECS
from nestvec.core.errors import InputError, MissingExtraError, UnknownNameError
from nestvec.core.types import Array, Float64, Matrix
from nestvec.encoders import checkpoint
from nestvec.encoders.embeddings import open_embeddings, table_file
from nestvec.encoders.vocabulary import FILE, Vocabulary, find_vocabulary
from nestvec.encoders.words import open_tokenizer, token_ids
from nestvec.kernels.kmeans import kmeans, nearest

_POWER = 0.75  # of a token's count: between all tokens alike and as they come
_DRAWN = 60_000  # rows that codewords are fitted to, by weight, and half as many of all alike
_WORDS = 256
_SUBSPACES = 3  # as Jaiswal and Liu cut: some thirty sub-rows a part tell 30,000 tokens apart
_CHUNK = 2048


@dataclass(frozen=True)
class Compressed:
    """What became of a token table.

    Args:
        folder: of the model that was written.
        vocabulary: its codes.
        table_bytes: of the table before, as float32.
        error: mean squared error of a row over the mean square of a row, both weighted by how often tokens come.
    """

    folder: Path
    vocabulary: Vocabulary
    table_bytes: int
    error: float

    @property
    def ratio(self) -> float:
        """Bytes of the codes, and of everything that is needed to read them, over those of the table."""
        return self.vocabulary.nbytes / self.table_bytes


def compress_vocab(
    source: str | Path, folder: str | Path, texts: Iterable[str] = (), *, method: str = "lr2vq",
    nbytes: int | None = None, seed: int = 0,
) -> Compressed:  # fmt: skip
    """Write a model with a smaller token table, to be opened like any other model.

    Args:
        source: ``default``, a model folder, or a hub id.
        folder: new or empty; the model is written there.
        texts: unlabelled texts like those to come; how often tokens come in them is all that is used. Without any, all
            tokens weigh alike.
        method: one of :data:`METHODS`.
        nbytes: that the table may take; a fiftieth of what it takes as float32 by default.
        seed: of what is drawn.

    Returns:
        What was made; ``ratio`` never exceeds what was asked for.

    Raises:
        UnknownNameError: there is no such method.
        InputError: the folder is not empty, the budget is too small for the method (the message says how small it can
            be), the model has no table that can be found, or it was compressed before.
        MissingExtraError: safetensors or tokenizers is not installed.

    Cost: minutes on one core for 30,000 tokens with ``lr2vq``, half a minute with ``pq``, a second with the others.
    """
    if method not in METHODS:
        raise UnknownNameError(f"a method must be one of {', '.join(METHODS)}, got {method!r}.")
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise InputError(f"a model must be written to a new or empty folder, got {target} with other files.")
    found = checkpoint.find(source)
    if find_vocabulary(found.folder) is not None:
        raise InputError(f"a vocabulary must be compressed once, got {found.name}, whose table is codes already.")
    table = open_embeddings(found.folder)
    rows = table.rows(np.arange(len(table.values)))
    whole = rows.size * 4
    budget = whole // 50 if nbytes is None else nbytes
    weights = token_weights(found, texts, len(rows))
    vocabulary = compress_rows(rows, weights, method=method, nbytes=budget, seed=seed)
    wrong = np.square(vocabulary.rows(np.arange(len(rows))) - rows).sum(axis=1) @ weights
    _write_model(found.folder, target, vocabulary, len(rows))
    return Compressed(target, vocabulary, whole, float(wrong / (np.square(rows).sum(axis=1) @ weights)))


def compress_rows(
    rows: Matrix, weights: Float64[np.ndarray, " n"], *, method: str, nbytes: int, seed: int = 0
) -> Vocabulary:
    """Codes of the rows ``[n, d]`` of a table, in at most ``nbytes``.

    Args:
        rows: of tokens.
        weights: ``[n]``, how much each counts.
        method: one of :data:`METHODS`.
        nbytes: codes, codebooks and matrices together.
        seed: of what is drawn.

    Raises:
        InputError: the budget is too small; the message says how small the method can be.
    """
    size, fit, most = METHODS[method]
    n, d = rows.shape
    sizes = {m: size(n, d, m) for m in range(1, most(d) + 1)}
    fitting = [m for m, needed in sizes.items() if needed <= nbytes]
    if not fitting:
        least = min(sizes.values())
        raise InputError(f"{method} needs at least {least} bytes for {n} tokens of {d} numbers, got {nbytes}.")
    tensors = fit(rows, weights, max(fitting), np.random.default_rng(seed))
    return Vocabulary(tensors, d, method)


def token_weights(found: checkpoint.Checkpoint, texts: Iterable[str], n: int) -> Float64[np.ndarray, " n"]:
    """``(1 + count) ** 0.75`` of every token over the texts, adding up to 1.

    Source: Mikolov et al. 2013, sec. 2.2 (arXiv:1310.4546), for the power.
    """
    tokenizer = open_tokenizer(found.tokenizer_file)
    counts = np.ones(n)
    every = iter(texts)
    while chunk := list(islice(every, _CHUNK)):
        ids = np.concatenate([np.array(row, np.int64) for row in token_ids(tokenizer, chunk)])
        counts += np.bincount(ids, minlength=n)[:n]
    special = tokenizer.encode("", add_special_tokens=True).ids
    counts[special] += counts.sum() / 20  # a text of twenty tokens is framed by them
    weights: Float64[np.ndarray, " n"] = counts**_POWER
    weights /= weights.sum()
    return weights


# ---------------------------------------------------------------------- the methods


def _sample(rows: Array, weights: Array, rng: np.random.Generator) -> Array:
    """Rows by weight, and half as many of all alike, so that rare tokens are not forgotten."""
    n = len(rows)
    drawn = rng.choice(n, min(_DRAWN, max(2 * n, 2 * _WORDS)), p=weights)
    alike = rng.permutation(n)[: len(drawn) // 2]
    found: Array = rows[np.concatenate([drawn, alike])]
    return found


def _pq(rows: Matrix, weights: Array, parts: int, rng: np.random.Generator) -> Mapping[str, Array]:
    codec = CODECS["pq@1"].fit(_sample(rows, weights, rng), parts=parts, seed=int(rng.integers(1 << 31)))
    return {"codes": codec.encode(rows), "codebooks": codec.codebooks.astype(np.float16)}


def _lr2vq(rows: Matrix, weights: Array, parts: int, rng: np.random.Generator) -> Mapping[str, Array]:
    rank = _rank(rows.shape[1])
    codec = CODECS["lr2vq@1"].fit(_sample(rows, weights, rng), parts=parts, rank=rank, seed=int(rng.integers(1 << 31)))
    small = {name: getattr(codec, name).astype(np.float16) for name in ("codebooks", "back", "centre")}
    return {"codes": codec.encode(rows), **small}


def _subspace(rows: Matrix, weights: Array, parts: int, rng: np.random.Generator) -> Mapping[str, Array]:
    sample, words = _sample(rows, weights, rng), _shared(len(rows), parts)
    width = -(-rows.shape[1] // parts)
    wide = np.pad(rows, [(0, 0), (0, parts * width - rows.shape[1])])
    sample = np.pad(sample, [(0, 0), (0, parts * width - rows.shape[1])])
    codes, books = np.empty((len(rows), parts), np.uint8), np.empty((parts, words, width), np.float32)
    for j in range(parts):
        piece = slice(j * width, (j + 1) * width)
        books[j] = kmeans(np.ascontiguousarray(sample[:, piece]), words, seed=int(rng.integers(1 << 31)))
        codes[:, j] = nearest(np.ascontiguousarray(wide[:, piece]), books[j])
    return {"codes": codes, "codebooks": books.astype(np.float16)}


def _low_rank(rows: Matrix, weights: Array, parts: int, rng: np.random.Generator) -> Mapping[str, Array]:  # noqa: ARG001
    weighed = rows.astype(np.float64) * weights[:, None]
    _, directions = np.linalg.eigh(rows.T.astype(np.float64) @ weighed)
    main = np.ascontiguousarray(directions[:, ::-1][:, :parts]).astype(np.float32)
    return {**_int8(rows @ main), "back": np.ascontiguousarray(main.T).astype(np.float16)}


def _truncate(rows: Matrix, weights: Array, parts: int, rng: np.random.Generator) -> Mapping[str, Array]:  # noqa: ARG001
    return _int8(rows[:, :parts])


def _int8(rows: Array) -> dict[str, Array]:
    scale = np.maximum(np.abs(rows).max(axis=1) / 127, 6e-5).astype(np.float16)  # the least normal float16
    codes = np.clip(np.rint(rows / scale[:, None].astype(np.float32)), -127, 127)
    return {"codes": codes.astype(np.int8), "scale": scale}


def _rank(d: int) -> int:
    return max(d // 2, 1)


def _shared(n: int, parts: int) -> int:
    """Sub-rows of each part: as many as tell ``n`` tokens apart if all were used alike, 256 at most."""
    return min(max(math.ceil(math.pow(n, 1 / parts)), 2), _WORDS)


Size = Callable[[int, int, int], int]
Fit = Callable[[Matrix, Array, int, np.random.Generator], Mapping[str, Array]]


def _lr2vq_bytes(n: int, d: int, m: int) -> int:
    r = _rank(d)
    return n * m + 2 * (_WORDS * m * -(-r // m) + r * d + d)


METHODS: Mapping[str, tuple[Size, Fit, Callable[[int], int]]] = {
    "lr2vq": (_lr2vq_bytes, _lr2vq, _rank),
    "pq": (lambda n, d, m: n * m + 2 * _WORDS * m * -(-d // m), _pq, lambda d: d),
    "subspace": (lambda n, d, m: n * m + 2 * _shared(n, m) * m * -(-d // m), _subspace, lambda d: min(d, _SUBSPACES)),
    "low_rank": (lambda n, d, m: n * (m + 2) + 2 * m * d, _low_rank, lambda d: d),
    "truncate": (lambda n, _, m: n * (m + 2), _truncate, lambda d: d),
}
"""Methods by name: bytes of ``n`` rows of ``d`` numbers with ``m`` parts, the fit, and the most parts for ``d``.

``lr2vq``, half of the directions, and a byte for each part of them; ``pq``, a byte for each part; ``subspace``, parts
that share some thirty sub-rows each; ``low_rank``, leading directions in int8; ``truncate``, leading numbers in int8.
"""


# ---------------------------------------------------------------------- the model's folder


def _write_model(source: Path, target: Path, vocabulary: Vocabulary, rows: int) -> None:
    """Copy a model folder, its table replaced by the codes; wholly or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        made = Path(beside) / "model"
        shutil.copytree(source, made)
        path, name = table_file(made)
        _shrink(path, name, rows)
        vocabulary.save(path.parent / FILE)
        made.replace(target)


def _shrink(path: Path, name: str, rows: int) -> None:
    """Leave of the table in a file only as much as transformers needs to open the model."""
    try:
        from safetensors.torch import load_file, save_file
    except ImportError as cause:
        raise MissingExtraError("Compressing a vocabulary", "text") from cause
    config = path.parent / "config.json"
    said: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    if said.get("vocab_size") != rows:
        raise InputError(f"a model must say vocab_size {rows} in its config.json, got {said.get('vocab_size')!r}.")
    tensors = load_file(path)
    kept = int(said.get("pad_token_id") or 0) + 1  # the row of padding must be there
    tensors[name] = tensors[name][:kept].clone()
    path.chmod(0o644)
    save_file(tensors, path, metadata={"format": "pt"})
    said["vocab_size"] = kept
    config.chmod(0o644)
    config.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
