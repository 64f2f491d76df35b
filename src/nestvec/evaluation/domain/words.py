"""A domain gap in sentences."""

from __future__ import annotations

import numpy as np

from nestvec.evaluation.domain.gap import DomainGap
from nestvec.metrics import Interval

_FAR = 0.1  # of the questions; by construction 1 % of the references' are as far
_TOKENS = 1.3  # times as many tokens a word as the references: the encoder does not know the words


def sentences(found: DomainGap) -> list[str]:
    """What was found, what it rests on, and what it cannot know; plain text, most important first."""
    return [*_verdict(found), *_account(found), *_signs(found), _unknown(found)]


def _verdict(found: DomainGap) -> list[str]:
    name, rest = found.own.name, found.gap.unexplained
    if found.verdict == "gap":
        said = (
            f"There is a gap: on {name} the model loses {-rest.mean:.2f} nDCG@10 more than complexity explains "
            f"({_ends(rest)}), and no reference held out falls that far. Adapting it to the domain is worth trying. "
            "Measure again afterwards."
        )
    elif found.verdict == "none":
        said = (
            f"No gap worth the name: with 95 % confidence, the model loses less than {found.margin:.2f} nDCG@10 on "
            f"{name} beyond what complexity explains ({_ends(rest)}). Adapting it to the domain has little to win."
        )
    else:
        said = f"Whether {name} needs an adapted model cannot be told: {_doubts(found)}."
    return [said]


def _doubts(found: DomainGap) -> str:
    """Why neither a gap nor its absence is shown."""
    gap, rest = found.gap, found.gap.unexplained
    if rest.low > -found.margin:
        return (
            "complexity explains what is lost, but the model's lead over BM25 differs by "
            f"{_ends(gap.beyond_words)} from that on the references"
        )
    if rest.high >= 0:
        shows = (rest.high - rest.low) / 2 * 2.8 / 1.96  # found four times in five; a half width is 1.96 errors
        return (
            f"what complexity leaves unexplained lies between {rest.low:+.2f} and {rest.high:+.2f}, and so many "
            f"questions show gaps from about {shows:.2f}"
        )
    but = ["that is small"] if rest.mean >= -found.margin else []
    lowest = min(gap.held_out, key=lambda one: one[1], default=None)
    if lowest is not None and rest.mean >= lowest[1]:
        but.append(f"{lowest[0]}, held out, falls as far ({lowest[1]:+.2f})")
    if gap.beyond_words.high >= 0:
        but.append(
            f"these questions are hard for BM25 too: the model's lead over it differs by {_ends(gap.beyond_words)} "
            "from that on the references"
        )
    return f"{rest.mean:+.2f} is left unexplained, but {', and '.join(but)}"


def _account(found: DomainGap) -> list[str]:
    gap = found.gap
    elsewhere = float(np.mean([one.model.mean() for one in found.references]))
    said = (
        f"The model reaches {found.own.model.mean():.3f} on {found.own.name}, and {elsewhere:.3f} on the mean of "
        f"{len(found.references)} references: {_ends(gap.raw)}. Complexity alone would make it {_ends(gap.explained)}; "
        f"{_ends(gap.unexplained)} is left."
    )
    if not gap.held_out:
        return [said, "With one reference, nothing is known of how far data of other domains scatters; bring more."]
    low, high = (pick(value for _, value in gap.held_out) for pick in (min, max))
    scatter = (
        f"Each reference, held against the others in the same way, is left with {low:+.2f} to {high:+.2f}. Were your "
        f"data one more of them, it would be the lowest by chance once in {1 + len(found.references)} times."
    )
    return [said, scatter]


def _signs(found: DomainGap) -> list[str]:
    said = []
    if found.gap.far > _FAR:
        said.append(
            f"{found.gap.far:.0%} of the questions are unlike any of the references'; what complexity foresees for "
            "them is a guess. References that are more like them would help."
        )
    if found.over_words.high < 0:
        said.append(
            f"BM25 answers these questions better than the model ({_ends(found.over_words)}): search by words "
            "beside it before training anything."
        )
    elsewhere = float(np.mean([one.tokens for one in found.references]))
    if found.own.tokens > _TOKENS * elsewhere:
        said.append(
            f"The encoder takes {found.own.tokens:.1f} tokens a word, and {elsewhere:.1f} on the references: many "
            "words here are strange to it."
        )
    return said


def _unknown(found: DomainGap) -> str:
    asked = "" if found.judged else "what your users ask, which is no sentence of a document; "
    return (
        f"What this cannot know: {asked}whether training would help; whether the model has seen the references, or "
        "your texts, in its training; what is hard beyond words, as reasoning is; answers that nobody judged."
    )


def _ends(found: Interval) -> str:
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
