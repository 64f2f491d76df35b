"""Saying what a collection is, and giving rows back what damage took."""

from __future__ import annotations

from nestvec.core.protocols import Encoder
from nestvec.core.types import JSON
from nestvec.search.finder import Finder
from nestvec.search.settings import ARRAY, Settings, as_searched
from nestvec.store import Store

_BATCH = 1024  # rows encoded and restored together


def describe(store: Store, settings: Settings, finder: Finder) -> dict[str, JSON]:
    """What a collection is and how large, as plain data."""
    files = [file for file in store.path.rglob("*") if file.is_file()]
    with store.read() as snapshot:
        count, version = len(snapshot), snapshot.version
        segments, dead = len(snapshot.segments(ARRAY)), len(snapshot.state.dead)
    return {
        "path": str(store.path),
        "records": count,
        "deleted_rows": dead,
        "version": version,
        "segments": segments,
        "bytes": sum(file.stat().st_size for file in files),
        "vector_bytes": (count + dead) * settings.space.dim * 4,
        "encoder": settings.source or None,
        "size": settings.size,
        "codec": settings.codec,
        "recall": settings.recall,
        "codes": finder.codes.info(),
        "bands": list(settings.bands) or None,
        "funnel": finder.narrowing.info(),
        "space": settings.space.to_json(),
        "fingerprint": settings.space.fingerprint,
        "passage_tokens": settings.budget,
        "graph": finder.graph_info(),
    }


def encode_missing(store: Store, encoder: Encoder) -> int:
    """Encode the rows that have lost their vector again, batch by batch, and return how many there were."""
    missing = store.missing(ARRAY)
    for start in range(0, len(missing), _BATCH):
        some = missing[start : start + _BATCH]
        with store.read() as snapshot:
            records = snapshot.records(some)
        store.restore(ARRAY, some, as_searched(encoder.encode(records).values, encoder.space))
    return len(missing)
