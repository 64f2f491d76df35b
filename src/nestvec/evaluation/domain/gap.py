"""Is a model worse on one's own data than complexity explains, and is that worth adapting it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import JSON
from nestvec.evaluation.domain.complexity import MEASURES
from nestvec.evaluation.domain.decomposition import Gap, decompose
from nestvec.evaluation.domain.probing import DOCUMENTS, QUESTIONS, Probed, Probing, cut, probe
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.metrics import Interval, bootstrap_difference, bootstrap_mean

Verdict = Literal["gap", "none", "unclear"]

_SMALLER = 4  # times: all sets get as many documents as the smallest, and one that is smaller still would spoil all


@dataclass(frozen=True, eq=False)
class DomainGap:
    """What :func:`domain_gap` found.

    Args:
        own: the set in question.
        references: the others.
        left_out: name and reason of references that could not be used.
        gap: between them.
        verdict: ``gap``, more is lost than complexity and the scatter of the references explain; ``none``, by neither
            account more is lost than ``margin``; ``unclear``, these questions and references cannot tell.
        margin: what counts as nothing, in nDCG@10.
        judged: people judged the own questions; else they are sentences of its texts, and so are those of the others.
    """

    own: Probed
    references: tuple[Probed, ...]
    left_out: tuple[tuple[str, str], ...]
    gap: Gap
    verdict: Verdict
    margin: float
    judged: bool

    @property
    def over_words(self) -> Interval:
        """On the own set, nDCG@10 of the model minus that of BM25, question by question."""
        return bootstrap_difference(self.own.model, self.own.by_words)

    @property
    def chance(self) -> float:
        """How often the own set would be the lowest of all by chance alone, were it one of the references."""
        return 1 / (1 + len(self.references))

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        gap = self.gap
        return {
            "verdict": self.verdict,
            "judged": self.judged,
            "margin": self.margin,
            "raw": _ends(gap.raw),
            "explained": _ends(gap.explained),
            "unexplained": _ends(gap.unexplained),
            "beyond_words": _ends(gap.beyond_words),
            "held_out": dict(gap.held_out),
            "chance": self.chance,
            "far": gap.far,
            "slopes": dict(zip(MEASURES, gap.slopes, strict=True)),
            "over_words": _ends(self.over_words),
            "own": _told(self.own),
            "references": [_told(one) for one in self.references],
            "left_out": [{"name": name, "reason": reason} for name, reason in self.left_out],
        }


def domain_gap(
    encoder: Encoder,
    own: Retrieval,
    references: Mapping[str, Retrieval],
    *,
    name: str = "own data",
    how: Probing | None = None,
    margin: float = 0.05,
    judged: bool = True,
    say: Callable[[str], None] | None = None,
) -> DomainGap:
    """Measure a model on one's own data and on other data, and say whether it falls short where complexity does not.

    All sets are cut to the same number of documents, since a question is easier among fewer. Own questions that people
    judged must be held against questions that people judged; sentences (:func:`cloze`) against sentences.

    Args:
        encoder: the model.
        own: documents, questions, and what answers them.
        references: by name, other sets of the same making; three and more let their scatter be seen.
        name: of the own set.
        how: how much of each set is looked at.
        margin: of nDCG@10, what counts as nothing.
        judged: whether people judged; said in the result, decides nothing.
        say: is told each set before it is encoded.

    Raises:
        InputError: the own set has fewer than 50 documents or 30 questions that can be used, no reference is large
            enough, its name is also that of a reference, or the margin is not above 0.

    Cost: encoding ``documents`` texts of each set.

    Source: Tang and Yang 2024 (arXiv:2409.18511), who ask whether complexity explains the lower scores of finance.
    """
    asked = how or Probing()
    if not margin > 0:
        raise InputError(f"margin must be above 0, got {margin}.")
    if name in references:
        raise InputError(f"the own data must have a name of its own, got {name!r}, which is also that of a reference.")
    mine = cut(own, asked)
    if len(mine.documents) < DOCUMENTS or len(mine) < QUESTIONS:
        raise InputError(
            f"{name} must have {DOCUMENTS} documents and {QUESTIONS} questions to say anything about, got "
            f"{_amount(mine)} that can be used: at most two answers of a question stay, and half of the documents must "
            "be no answers."
        )
    parts = {one: cut(task, asked) for one, task in references.items()}
    least = max(DOCUMENTS, len(mine.documents) // _SMALLER)
    small = {one: part for one, part in parts.items() if len(part.documents) < least or len(part) < QUESTIONS}
    left_out = tuple((one, f"{_amount(part)} that can be used are too few") for one, part in small.items())
    usable = {one: references[one] for one in parts if one not in small}
    if not usable:
        said = "; ".join(f"{one}: {reason}" for one, reason in left_out) or "none was given"
        raise InputError(f"there must be a reference to hold {name} against, got none that can be used ({said}).")
    size = min(len(part.documents) for part in (mine, *(parts[one] for one in usable)))
    probed = []
    for one, task in {**usable, name: own}.items():
        if say is not None:
            say(f"measuring {one}")
        probed.append(probe(one, cut(task, replace(asked, documents=size)), encoder))
    gap = decompose(probed[-1], probed[:-1], seed=asked.seed)
    return DomainGap(probed[-1], tuple(probed[:-1]), left_out, gap, _verdict(gap, margin), margin, judged)


def _amount(part: Retrieval) -> str:
    return f"{len(part.documents):,} documents and {len(part):,} questions"


def _verdict(gap: Gap, margin: float) -> Verdict:
    """Both accounts must agree; and a gap must be deeper than that of any reference held out."""
    rest, lead = gap.unexplained, gap.beyond_words
    lowest = min((value for _, value in gap.held_out), default=-np.inf)
    if max(rest.high, lead.high) < 0 and rest.mean < min(lowest, -margin):
        return "gap"
    return "none" if min(rest.low, lead.low) > -margin else "unclear"


def _told(one: Probed) -> dict[str, JSON]:
    means: Sequence[float] = one.measures.mean(axis=0).tolist()
    return {
        "name": one.name,
        "documents": one.documents,
        "questions": len(one),
        "ndcg_at_10": _ends(bootstrap_mean(one.model)),
        "bm25_ndcg_at_10": _ends(bootstrap_mean(one.by_words)),
        "tokens_a_word": one.tokens,
        "complexity": dict(zip(MEASURES, means, strict=True)),
    }


def _ends(found: Interval) -> dict[str, JSON]:
    low, high = (float(end) if np.isfinite(end) else None for end in (found.low, found.high))
    return {"value": found.mean, "low": low, "high": high}
