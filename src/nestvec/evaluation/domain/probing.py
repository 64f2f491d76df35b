"""One set of documents and questions, cut to the same measure as the others, and a model measured on it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Float64
from nestvec.encoders.tokens import TruncationWarning
from nestvec.evaluation.baselines import Bm25
from nestvec.evaluation.domain.complexity import complexity
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.lexical import words
from nestvec.evaluation.system import Model

DOCUMENTS, QUESTIONS = 50, 30
"""Of a set, at least; with less, an interval is as wide as the scale."""

_ANSWERS = 2  # of a question that stay
_TEXTS = 200  # of which tokens and words are counted


@dataclass(frozen=True)
class Probing:
    """How much of each set is looked at.

    Args:
        documents: of each set; a question is easier among fewer, so all sets get as many as the smallest has.
        questions: at most.
        seed: of every draw.

    Raises:
        InputError: fewer than 50 documents or 30 questions.
    """

    documents: int = 1_000
    questions: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.documents < DOCUMENTS or self.questions < QUESTIONS:
            raise InputError(
                f"there must be at least {DOCUMENTS} documents and {QUESTIONS} questions to look at, got "
                f"{self.documents} and {self.questions}."
            )


@dataclass(frozen=True, eq=False)
class Probed:
    """A model on one set.

    Args:
        name: of the set.
        documents: how many there are to choose from.
        model: ``[q]`` nDCG@10 of the model, question by question.
        by_words: ``[q]`` that of BM25.
        measures: ``[q, m]`` complexity; see :data:`~nestvec.evaluation.domain.complexity.MEASURES`.
        tokens: tokens a word, as the encoder counts them: more where it does not know the words.
    """

    name: str
    documents: int
    model: Float64[np.ndarray, " q"]
    by_words: Float64[np.ndarray, " q"]
    measures: Float64[np.ndarray, "q m"]
    tokens: float

    def __len__(self) -> int:
        return len(self.model)


def probe(name: str, part: Retrieval, encoder: Encoder) -> Probed:
    """Measure a model and BM25 on a part of a set, and how hard its questions are.

    Args:
        name: of the set.
        part: what :func:`cut` gave.
        encoder: the model.

    Cost: encoding its documents and questions.
    """
    by_words = part.measure(Bm25())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # long texts are cut for all sets alike
        model = part.measure(Model(encoder))
    known = dict(zip(by_words.items, by_words.columns["ndcg_at_10"].tolist(), strict=True))
    texts = [record.full_text for record in part.documents[:_TEXTS]]
    counted = sum(encoder.count_tokens(texts)) / max(sum(len(words(text)) for text in texts), 1)
    return Probed(
        name,
        len(part.documents),
        model.columns["ndcg_at_10"],
        by_words.columns["ndcg_at_10"],
        complexity(part, known),
        counted,
    )


def cut(task: Retrieval, how: Probing) -> Retrieval:
    """As many documents and questions as asked for: questions by chance, answers of each, other documents by chance.

    A question keeps two of its answers at most, and the others leave: sets differ in how many there are, and two are
    found more easily than one among twenty. Questions stop before answers fill more than half of the documents, since
    there must be something to confuse them with.
    """
    rng = np.random.default_rng(how.seed)
    good = {name: sorted(d for d, gain in gains.items() if gain > 0) for name, gains in task.judged.items()}
    names = [name for name in good if good[name]]
    chosen: list[str] = []
    needed: set[str] = set()
    for i in rng.permutation(len(names)).tolist():
        answers = good[names[i]]
        mine = {answers[at] for at in rng.permutation(len(answers))[:_ANSWERS].tolist()}
        if len(chosen) == how.questions or len(needed | mine) > how.documents // 2:
            break
        chosen.append(names[i])
        needed |= mine
    known = {document for name in chosen for document in good[name]}
    others = [record.id for record in task.documents if record.id not in known]
    drawn = rng.permutation(len(others))[: max(0, how.documents - len(needed))].tolist()
    kept = needed | {others[i] for i in drawn}
    wanted = sorted(chosen, key=names.index)
    judged = {name: {d: gain for d, gain in task.judged[name].items() if d in kept} for name in wanted}
    documents = tuple(record for record in task.documents if record.id in kept)
    return Retrieval(documents, {name: task.queries[name] for name in wanted}, judged)
