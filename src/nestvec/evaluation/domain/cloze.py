"""Questions that nobody wrote: a sentence is taken out of a text, and asked for the text it came from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.record import Record
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.lexical import sentences

_WORDS = range(4, 41)  # of a question: fewer say little, more are no question
_LEFT = 8  # words that a text must still have without its sentence
_FEWEST = 30  # questions; below that, an interval is as wide as the scale
_WORD = re.compile(r"\w+")


def cloze(records: Sequence[Record], questions: int, *, seed: int = 0) -> Retrieval:
    """Records as documents, and sentences of some of them as questions for the rest of the same record.

    A sentence is drawn among those of 4 to 40 words that stand in one record only; it is taken out of its record, so
    that nothing is found by the very same words. Records that keep fewer than eight words give no question. Equal
    records count once.

    Args:
        records: all that may be found.
        questions: how many at most.
        seed: of records and sentences.

    Raises:
        InputError: fewer than 30 questions can be made.

    Source: Lee, Chang and Toutanova 2019, sec. 4 (arXiv:1906.00300), there for training.
    """
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record.full_text, record)
    unique = list(first.values())
    seen = Counter(piece for record in unique for piece in set(sentences(record.text)))
    rng = np.random.default_rng(seed)
    documents = list(unique)
    queries: dict[str, str] = {}
    for i in rng.permutation(len(unique)).tolist():
        if len(queries) == questions:
            break
        pieces = sentences(unique[i].text)
        able = [at for at, piece in enumerate(pieces) if len(_words(piece)) in _WORDS and seen[piece] == 1]
        if not able:
            continue
        taken = able[int(rng.integers(len(able)))]
        rest = " ".join(piece for at, piece in enumerate(pieces) if at != taken)
        if len(_words(rest)) >= _LEFT:
            documents[i] = replace(unique[i], content=rest)
            queries[unique[i].id] = pieces[taken]
    if len(queries) < _FEWEST:
        raise InputError(
            f"texts must give at least {_FEWEST} questions, got {len(queries)} of {len(unique)} texts: each needs a "
            f"sentence of {_WORDS.start} to {_WORDS.stop - 1} words and {_LEFT} words beside it. Bring longer texts, "
            "or judgements."
        )
    return Retrieval(tuple(documents), queries, {name: {name: 1.0} for name in queries})


def _words(text: str) -> list[str]:
    return _WORD.findall(text)
