"""A collection as the planner wants it: documents, queries, what they are judged by, and every depth worth a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.types import JSON, Int64
from nestvec.planner.choosing import require_enough
from nestvec.planner.encoding import Depth, Say, base_view, other_views, with_tokens
from nestvec.planner.planning import LEAST_ROWS, Task
from nestvec.planner.queries import from_records
from nestvec.planner.questions import Questions
from nestvec.planner.targets import Agreement, Judged, Target
from nestvec.planner.views import View
from nestvec.search.collection import Collection
from nestvec.search.flat import Flat, Rows
from nestvec.search.settings import as_searched

_K = 10
_UNKNOWN = 0.1  # of the judged documents, how many may be missing from the collection


@dataclass(frozen=True)
class Sampling:
    """How much of a collection is measured.

    Args:
        documents: rows at most; judged ones first, the others at random.
        queries: how many are made where there is neither a log nor judgements; of a log, how many are taken.
        seed: of both.
    """

    documents: int = 20_000
    queries: int = 400
    seed: int = 0


def task_of(
    collection: Collection,
    questions: Questions | None,
    *,
    encoder: Encoder | None,
    depths: Sequence[Depth] = (),
    nbytes: int = 0,
    tokens: bool = False,
    sampling: Sampling | None = None,
    say: Say,
) -> Task:
    """What there is to plan.

    Args:
        collection: open for reading.
        questions: judged queries, or a log; None to make queries of titles and first sentences.
        encoder: of the collection.
        depths: others to look at; none where vectors are brought along or the collection is smaller than its model.
        nbytes: of the encoder's weights.
        tokens: whether to encode a vector for every token as well, so that several a record can be tried; agreement is
            then with MaxSim over all of them.
        sampling: how much is measured.
        say: is told what is going on.

    Raises:
        InputError: too few records, no encoder for the queries, none that gives vectors of tokens, or judgements of
            documents that are not there.
    """
    sampling = sampling or Sampling()
    if encoder is None:
        raise InputError(
            f"{collection.path} must have an encoder to plan with, got one whose vectors were brought along: there is "
            "nothing to encode queries with. nestvec.planner.plan takes vectors of queries."
        )
    everything = list(collection.records())
    if len(everything) < LEAST_ROWS:
        raise InputError(
            f"a plan must be measured on at least {LEAST_ROWS} records, got {len(everything)} in {collection.path}. "
            "Add some first; until then every size is small."
        )
    known = _documents(everything)
    records = _sample(everything, questions, sampling)
    asked, own = _asked(records, questions, sampling)
    judged, unknown = _judged(records, questions, known)
    require_enough(len(asked))
    say(f"encoding {len(asked)} queries")
    documents = as_searched(collection.vectors([record.id for record in records]).values, collection.space)
    queries = as_searched(encoder.encode_query(asked).values, encoder.space)
    base = base_view(encoder, documents, queries, asked, nbytes=nbytes)
    if tokens:
        base = with_tokens(base, encoder, collection.settings.encoded, records, asked, say=say)
    others, dropped = other_views(encoder, depths, base, records, asked, say=say)
    target: Target = _agreement(base, own) if judged is None else judged
    size = Size.parse(collection.settings.size)
    facts: dict[str, JSON] = {
        "collection": {
            "fingerprint": collection.space.fingerprint, "encoder": collection.space.encoder,
            "version": collection.version, "size": str(size),
        },
        "documents_seed": sampling.seed,
        "queries_from": "judgements" if questions and questions.gains else "a log" if questions else "the records",
        "queries_left_out": questions.left_out if questions else 0,
        "judged_documents_missing": unknown,
        "depths_left_out": {str(depth): round(agreed, 4) for depth, agreed in dropped.items()},
    }  # fmt: skip
    full_dim = collection.space.dim if size.dim is None else None
    return Task([base, *others], target, len(everything), full_dim, facts)


def _documents(records: Sequence[Record]) -> dict[str, int]:
    """Numbers of documents: a record's own, or that of the document it is a passage of."""
    found: dict[str, int] = {}
    for record in records:
        found.setdefault(_document(record), len(found))
    return found


def _document(record: Record) -> str:
    return record.place.parent if record.place else record.id


def _sample(records: Sequence[Record], questions: Questions | None, sampling: Sampling) -> list[Record]:
    """Every record, or as many as are measured: those of judged documents first; in their order."""
    if len(records) <= sampling.documents:
        return list(records)
    judged = {name for gains in (questions.gains if questions and questions.gains else ()) for name in gains}
    order = np.random.default_rng(sampling.seed).permutation(len(records))
    order = order[np.argsort([_document(records[i]) not in judged for i in order], kind="stable")]
    return [records[i] for i in np.sort(order[: sampling.documents]).tolist()]


def _asked(
    records: Sequence[Record], questions: Questions | None, sampling: Sampling
) -> tuple[list[str], Int64[np.ndarray, " q"]]:
    if questions is None:
        return from_records(records, sampling.queries, seed=sampling.seed)
    texts = list(questions.texts)
    if questions.gains is None and len(texts) > sampling.queries:
        some = np.random.default_rng(sampling.seed).choice(len(texts), sampling.queries, replace=False)
        texts = [texts[i] for i in np.sort(some).tolist()]
    return texts, np.full(len(texts), -1, np.int64)


def _judged(
    records: Sequence[Record], questions: Questions | None, known: Mapping[str, int]
) -> tuple[Judged | None, int]:
    """What answers are judged by, None without judgements, and how many judged documents are not there."""
    if questions is None or questions.gains is None:
        return None, 0
    judged = {name for gains in questions.gains for name, gain in gains.items() if gain > 0}
    unknown = sorted(judged - set(known))
    if len(unknown) > _UNKNOWN * len(judged):
        raise InputError(
            f"judgements must be of documents that are in the collection, got {len(unknown)} of {len(judged)} that are "
            f"not, such as {unknown[0]!r}. Document ids are those that nestvec search shows."
        )
    number = {name: i for i, name in enumerate([*known, *unknown])}
    gains = tuple({number[name]: gain for name, gain in one.items() if name in number} for one in questions.gains)
    return Judged(gains, np.array([known[_document(record)] for record in records], np.int64), _K), len(unknown)


def _agreement(base: View, own: Int64[np.ndarray, " q"]) -> Agreement:
    """With what the full size finds: MaxSim over all tokens where they are there."""
    if base.tokens is not None:
        return Agreement.of(base.tokens.nearest(_K + 1), own)
    flat = Flat((Rows(np.arange(len(base.documents)), base.documents),), base.dim)
    return Agreement.of(flat.search(base.queries, _K + 1).ids, own)
