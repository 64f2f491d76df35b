"""A collection at another size: other codes of the same vectors, or other vectors of the same records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from nestvec.core.protocols import Encoder
from nestvec.core.size import Size
from nestvec.core.types import JSON, Int64, Matrix
from nestvec.search.codes import CodesReport
from nestvec.search.finder import GraphReport
from nestvec.search.narrowing import FunnelReport
from nestvec.search.settings import ARRAY, Settings, as_searched
from nestvec.store import Store

Moved = Callable[[int, int], None]
"""Called with the number of rows that have their new vector, and of all."""

_SAMPLE = 16  # rows encoded to see whether leading dimensions of what is stored will do
_SAME = 0.999  # cosine; arithmetic in bfloat16 and other batches move a vector by less, another rotation by far more


@dataclass(frozen=True)
class Turn:
    """What a resize is asked for.

    Args:
        size: with its bits settled.
        codec: that keeps vectors in so many bits; None for float32.
        recall: of searches through it; None to leave what is asked now.
        candidates: rescored for ten results; 0 for as many as ``recall`` takes.
        funnel: None to leave it, but a codec takes its place.
    """

    size: Size
    codec: str | None
    recall: float | None = None
    candidates: int = 0
    funnel: bool | None = None

    def settings(self, old: Settings, encoder: Encoder | None) -> Settings:
        """Those of the collection afterwards; ``encoder`` where its vectors are to be replaced."""
        funnel = (old.funnel and self.codec is None) if self.funnel is None else self.funnel
        same = replace(
            old,
            size=str(replace(old.encoded, bits=self.size.bits)),
            codec=self.codec,
            recall=old.recall if self.recall is None else self.recall,
            candidates=self.candidates,
            funnel=funnel,
        )
        if encoder is None:
            return same
        turned = getattr(encoder, "size", None) or self.size
        return replace(
            same,
            space=encoder.space,
            encoder=str(getattr(encoder, "kind", "custom")),
            source=str(getattr(encoder, "source", "")),
            size=str(replace(Size.parse(turned), vectors=None, bits=self.size.bits)),
        )


@dataclass(frozen=True)
class Resized:
    """What a resize did.

    Args:
        size: of the collection now.
        codec: what keeps its vectors in memory now; None for float32.
        version: that it made.
        encoded: rows that were encoded again from their texts.
        cut: rows whose vector was cut to its leading dimensions.
        seconds: how long it took, codes included.
        codes: codes that were made; None where there are none, or those that were there serve.
        funnel: as it was measured; None where there is none, or that which was there serves.
        graph: as it was built, anew where vectors were replaced; None where there is none, or that which was there
            serves.
    """

    size: str
    codec: str | None
    version: int
    encoded: int
    cut: int
    seconds: float
    codes: CodesReport | None
    funnel: FunnelReport | None = None
    graph: GraphReport | None = None

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Counts:
    """Rows by the way in which they came to their new vector."""

    encoded: int = 0
    cut: int = 0


def recode(store: Store, old: Settings, new: Settings) -> None:
    """Keep the same vectors in another number of bits: nothing but the settings changes here."""
    if new != old:
        store.change_settings(new.to_json())


def revector(store: Store, old: Settings, new: Settings, encoder: Encoder, moved: Moved | None) -> Counts:
    """Replace all vectors by those of ``encoder``, as one version.

    Vectors that only lose dimensions are cut where the encoder does just that, which is tried on a sample; all others
    are made from the stored texts.
    """
    cut = _cuts(store, old, encoder)
    with store.read() as snapshot:
        total = len(snapshot)
    done = 0

    def values(rids: Int64[np.ndarray, " m"]) -> Matrix:
        nonlocal done
        made = _cut(store, rids, new) if cut else _encoded(store, rids, encoder)
        done += len(rids)
        if moved is not None:
            moved(done, total)
        return made

    store.rewrite(new.to_json(), {ARRAY: values})
    return Counts(cut=done) if cut else Counts(encoded=done)


def _cuts(store: Store, old: Settings, encoder: Encoder) -> bool:
    """Whether the encoder gives the leading dimensions of what is stored."""
    dim = encoder.space.dim
    if dim >= old.space.dim or len(store.missing(ARRAY)):
        return False
    with store.read() as snapshot:
        live = np.setdiff1d(_all_rows(snapshot.segments(ARRAY)), snapshot.state.dead, assume_unique=True)
        some = live[:: max(1, len(live) // _SAMPLE)][:_SAMPLE]
        if not len(some):
            return False
        made = encoder.encode(snapshot.records(some)).values
        cut = snapshot.vectors(ARRAY, some, width=dim)
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(cut, axis=1)
    return bool(((made * cut).sum(axis=1) >= _SAME * lengths).all())


def _all_rows(segments: tuple[object, ...]) -> Int64[np.ndarray, " n"]:
    return np.concatenate([np.zeros(0, np.int64), *(segment.rows for segment in segments)])  # type: ignore[attr-defined]


def _cut(store: Store, rids: Int64[np.ndarray, " m"], new: Settings) -> Matrix:
    with store.read() as snapshot:
        leading = snapshot.vectors(ARRAY, rids, width=new.space.dim)
    if not new.space.unit:
        return as_searched(leading, new.space)
    length = np.linalg.norm(leading, axis=1, keepdims=True)
    return np.asarray(leading / np.where(length > 0, length, np.float32(1)), np.float32)


def _encoded(store: Store, rids: Int64[np.ndarray, " m"], encoder: Encoder) -> Matrix:
    with store.read() as snapshot:
        records = snapshot.records(rids)
    return as_searched(encoder.encode(records).values, encoder.space)
