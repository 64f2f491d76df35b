"""Views of an encoder's depths: a few texts first, and all of them only where those say that it may be worth it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.types import Array, Float32, Float64, Matrix
from nestvec.planner.targets import average_overlap
from nestvec.planner.tokens import TokenView
from nestvec.planner.views import View
from nestvec.search.forms import query_forms
from nestvec.search.several import token_encoder

_PROBE = 256  # documents of a first look
_ASKED = 64  # queries of a first look
_TIMED = 24  # queries encoded one by one
_WARM = 3
_K = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Depth:
    """A depth that an encoder offers.

    Args:
        depth: layers that run.
        fitted: whether a ladder has a rung there.
        nbytes: of the weights that run.
        tokens: whether to look at its token vectors too, which takes another pass over all documents.
    """

    depth: int
    fitted: bool
    nbytes: int
    tokens: bool = False


def base_view(
    encoder: Encoder | None,
    documents: Matrix,
    queries: Float32[np.ndarray, "q d"],
    asked: Sequence[str],
    *,
    nbytes: int,
) -> View:
    """The full size: vectors as they are stored, and the time that queries take to encode.

    Args:
        encoder: of the collection; None where vectors are brought along.
        documents: ``[n, d]``.
        queries: ``[q, d]`` in the same space.
        asked: their texts.
        nbytes: of the encoder's weights.
    """
    size = getattr(encoder, "size", None)
    seconds = np.zeros(0) if encoder is None else query_seconds(encoder.encode_query, asked)
    turn = None if size is not None and size.dim is not None else rotation_of(encoder)
    return View(
        getattr(size, "depth", None), documents, queries,
        fitted=rotation_of(encoder) is not None, rotation=turn, encoder_bytes=nbytes, encode_seconds=seconds,
    )  # fmt: skip


def other_views(
    encoder: Any, depths: Sequence[Depth], base: View, records: Sequence[Record], asked: Sequence[str], *, say: Say
) -> tuple[list[View], dict[int, float]]:
    """Views of those depths that may be worth it, and what the first look said of the others.

    A depth is left out, before all documents are encoded at it, if among 256 documents it finds less than half of what
    the full size finds: among all of them it would find less still.

    Args:
        encoder: at full size, with ``at``.
        depths: which.
        base: the full size.
        records: the documents, in the order of ``base``.
        asked: the queries.
        say: is told what is going on.

    Returns:
        The views, and for each depth left out the agreement of its first look, in [0, 1].
    """
    views: list[View] = []
    dropped: dict[int, float] = {}
    some = np.linspace(0, len(records) - 1, min(_PROBE, len(records))).astype(np.int64)
    few = np.linspace(0, len(asked) - 1, min(_ASKED, len(asked))).astype(np.int64)
    true = _nearest(base.queries[few], base.documents[some])
    for each in depths:
        at = encoder.at(f"L{each.depth}")
        probe = at.encode([records[i] for i in some.tolist()]).values
        found = _nearest(at.encode_query([asked[i] for i in few.tolist()]).values, probe)
        agreed = float(average_overlap(found, true).mean())
        if agreed < 0.5:
            say(f"depth {each.depth} agrees with the full size to {agreed:.2f} on {len(some)} documents: left out")
            dropped[each.depth] = agreed
            continue
        say(f"encoding {len(records):,} documents at depth {each.depth}")
        view = View(
            each.depth,
            at.encode(records).values,
            at.encode_query(asked).values,
            fitted=each.fitted,
            rotation=rotation_of(encoder) if each.fitted else None,
            encoder_bytes=each.nbytes,
            encode_seconds=query_seconds(at.encode_query, asked),
        )
        views.append(
            with_tokens(view, encoder, Size(depth=each.depth), records, asked, say=say) if each.tokens else view
        )
    return views, dropped


def with_tokens(
    view: View, encoder: Encoder, size: Size, records: Sequence[Record], asked: Sequence[str], *, say: Say
) -> View:
    """The same view with a vector for every token.

    Args:
        view: of single vectors.
        encoder: of those.
        size: depth and dim of the view.
        records: the documents, in the order of the view.
        asked: the queries.
        say: is told what is going on.

    Raises:
        InputError: the encoder gives no vectors of tokens.
    """
    tokens = token_encoder(encoder, size)
    depth = "" if size.depth is None else f" at depth {size.depth}"
    say(f"encoding every token of {len(records):,} documents{depth}")
    seconds = view.encode_seconds
    if len(seconds):  # a search needs a query in both forms
        seconds = query_seconds(lambda some: query_forms(encoder, size, some), asked)
    return replace(view, tokens=TokenView.of(tokens, records, asked, encode_seconds=seconds))


def rotation_of(encoder: Any) -> Float32[np.ndarray, "r d"] | None:
    """The leading directions of an encoder's ladder, all but the last; None if it has none."""
    ladder = getattr(encoder, "ladder", None)
    found: Array | None = ladder.rotation(ladder.dim - 1) if ladder is not None else None
    return found


def query_seconds(encode: Callable[[Sequence[str]], object], asked: Sequence[str]) -> Float64[np.ndarray, " s"]:
    """Wall seconds of encoding queries one by one."""
    for text in asked[:_WARM]:
        encode([text])
    taken = []
    for text in asked[:_TIMED]:
        start = time.perf_counter()
        encode([text])
        taken.append(time.perf_counter() - start)
    return np.array(taken)


def _nearest(queries: Float32[np.ndarray, "q d"], documents: Matrix) -> Array:
    return np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :_K].astype(np.int64)
