"""Vectors that the benchmarks of codecs and of two-stage search share."""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import data
from nestvec.core.types import Array

_OUT = Path(__file__).parent / "out"
_CHUNK = 4096  # texts encoded, and kept, at a time
_LETTERS = 300  # of a description: its first two or three sentences


@dataclass(frozen=True)
class Judged:
    """Vectors of documents and queries, and what answers what."""

    documents: Array
    queries: Array
    judgements: list[dict[int, float]]


def minilm(name: str) -> Judged | None:
    """One judged collection as vectors of all-MiniLM-L6-v2; None if it is not there."""
    vectors, texts = data("embeddings_minilm"), data(name)
    if vectors is None or texts is None:
        return None
    stored = np.load(vectors / f"{name}.npz")
    documents, queries = (unit(stored[key].astype(np.float32)) for key in ("doc_emb", "query_emb"))
    place = {str(x): i for i, x in enumerate(stored["doc_ids"])}
    found: dict[str, dict[int, float]] = {}
    for line in (texts / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, gain = line.split("\t")
        if float(gain) > 0 and document in place:
            found.setdefault(query, {})[place[document]] = float(gain)
    asked = [(i, found[str(x)]) for i, x in enumerate(stored["query_ids"]) if str(x) in found]
    return Judged(documents, queries[[i for i, _ in asked]], [gains for _, gains in asked])


def debian(*, make: bool) -> Array | None:
    """Descriptions of Debian packages, encoded once with the default model and kept in ``benchmarks/out``.

    Args:
        make: encode what is not there yet (some minutes); else None unless all is there.
    """
    folder = data("debian_packages")
    if folder is None:
        return None
    with gzip.open(folder / "packages.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = list(dict.fromkeys(f"{r['summary']}. {r['description'][:_LETTERS]}" for r in rows))
    files = [_OUT / f"debian-{i:06d}.npy" for i in range(0, len(texts), _CHUNK)]
    missing = [(i, path) for i, path in enumerate(files) if not path.exists()]
    if missing and not make:
        return None
    if missing:
        from nestvec.encoders import load

        encoder = load("default")
        _OUT.mkdir(exist_ok=True)
        for i, path in missing:
            values = encoder.encode(texts[i * _CHUNK : (i + 1) * _CHUNK]).values
            np.save(path, values.astype(np.float16))
            print(f"encoded {path.name}", file=sys.stderr, flush=True)
    return unit(np.concatenate([np.load(path) for path in files]).astype(np.float32))


def synthetic(
    n: int, dim: int, *, seed: int = 0, clusters: int = 2000, rank: int = 64, out: Array | None = None
) -> Array:
    """``[n, dim]`` unit vectors in clusters on a manifold of low rank, with noise beside it.

    Args:
        n: how many.
        dim: ``d``.
        seed: of the points; the manifold and the clusters are the same for every seed.
        clusters: how many; their sizes are even.
        rank: dimensions of the manifold.
        out: where to put them; by default a new array.
    """
    fixed = np.random.default_rng(12345)
    basis = fixed.standard_normal((rank, dim), dtype=np.float32) / np.float32(np.sqrt(rank))
    centres = fixed.standard_normal((clusters, rank), dtype=np.float32)
    rng = np.random.default_rng(seed)
    values = np.empty((n, dim), np.float32) if out is None else out
    for i in range(0, n, 50_000):
        size = min(50_000, n - i)
        inside = centres[rng.integers(0, clusters, size)] + 0.5 * rng.standard_normal((size, rank), dtype=np.float32)
        values[i : i + size] = unit(inside @ basis + 0.1 * rng.standard_normal((size, dim), dtype=np.float32))
    return values


def unit(x: Array) -> Array:
    """Rows of length 1."""
    scaled: Array = x / np.linalg.norm(x, axis=1, keepdims=True)
    return scaled
