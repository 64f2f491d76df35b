"""Saying what a collection is, and giving rows back what damage took."""

from __future__ import annotations

import numpy as np

from nestvec.core.protocols import Encoder
from nestvec.core.types import JSON
from nestvec.search.columns import Columns
from nestvec.search.finder import Finder
from nestvec.search.settings import ARRAY, Settings
from nestvec.search.several import TOKENS, Several
from nestvec.store import Store

_BATCH = 1024  # rows encoded and restored together


def describe(store: Store, settings: Settings, finder: Finder) -> dict[str, JSON]:
    """What a collection is and how large, as plain data."""
    files = [file for file in store.path.rglob("*") if file.is_file()]
    with store.read() as snapshot:
        count, version = len(snapshot), snapshot.version
        segments, dead = len(snapshot.segments(ARRAY)), len(snapshot.state.dead)
        vectors = sum(len(segment.held.values) for segment in snapshot.ragged(TOKENS))
    several = None if settings.several is None else told_several(settings.several, finder, vectors)
    stored = vectors * settings.several.coder.bytes_per_vector if settings.several else 0
    return {
        "path": str(store.path),
        "records": count,
        "deleted_rows": dead,
        "version": version,
        "segments": segments,
        "bytes": sum(file.stat().st_size for file in files),
        "vector_bytes": (count + dead) * settings.space.dim * 4 + stored,
        "encoder": settings.source or None,
        "size": settings.size,
        "codec": settings.codec,
        "recall": settings.recall,
        "codes": finder.codes.info(),
        "bands": list(settings.bands) or None,
        "funnel": finder.narrowing.info(),
        "several": several,
        "space": settings.space.to_json(),
        "fingerprint": settings.space.fingerprint,
        "passage_tokens": settings.budget,
        "graph": finder.graph_info(),
    }


def told_several(several: Several, finder: Finder, vectors: int) -> dict[str, JSON]:
    """What is known of the several vectors that records keep."""
    return {
        "vectors": several.vectors,
        "kept": vectors,
        "codec": several.codec,
        "bits": several.bits,
        "dim": several.space.dim,
        "bytes": vectors * several.coder.bytes_per_vector,
        "candidates": finder.proxy.info(),
    }


def encode_missing(store: Store, settings: Settings, encoder: Encoder) -> int:
    """Make the columns that rows have lost again, batch by batch, and return how many rows there were."""
    restored = np.zeros(0, np.int64)
    for array in store.arrays:
        missing = store.missing(array)
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            with store.read() as snapshot:
                records = snapshot.records(some)
            store.restore(array, some, Columns(settings).make(records, encoder)[array])
        restored = np.union1d(restored, missing)
    return len(restored)
