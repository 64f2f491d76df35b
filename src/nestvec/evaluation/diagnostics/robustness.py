"""Whether neighbours stay the same when vectors, or the words behind them, change a little."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nestvec.core.protocols import Encoder
from nestvec.core.types import Array, Matrix
from nestvec.evaluation.diagnostics.finding import Figure, Finding
from nestvec.evaluation.diagnostics.subject import Subject, basis
from nestvec.kernels.neighbours import nearest, unit
from nestvec.metrics.bootstrap import Interval, bootstrap_mean

K = 10
_ROWS = 10_000
_ASKED = 300
_NOISE = (0.1, 0.2, 0.4)  # of the vector's length
_TEXTS = 200
_CHANGED = 0.1  # share of the words of a text
_SHAKY = 0.7  # overlap at the middle noise; the sets measured keep .9
_LOOSE = 0.5  # overlap after a tenth of the words
_WORD = re.compile(r"\w{3,}")


def stability(subject: Subject, *, seed: int = 0) -> Finding:
    """Which share of the ten nearest stays when noise is added to the vector that asks."""
    _, x = _sample(subject, seed)
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.choice(len(x), min(_ASKED, len(x)), replace=False))
    truth = nearest(x[asked], x, K, own=asked)[0]
    figures = []
    for size in _NOISE:
        noise = unit(rng.standard_normal((len(asked), subject.dim), dtype=np.float32)) * np.float32(size)
        found = nearest(unit(x[asked] + noise), x, K, own=asked)[0]
        kept = bootstrap_mean(overlap(truth, found), seed=seed)
        figures.append(figure(f"kept at noise {size}", kept, "of the ten nearest"))
    shaky = figures[1].value < _SHAKY
    return Finding(
        "stability",
        "Whether neighbours stay when vectors change a little",
        tuple(figures),
        f"{len(asked)} items asked with, in {basis(len(x), len(subject), seed)}",
        "all-MiniLM-L6-v2 on 5,183 abstracts: .96, .93 and .85. Codes of 8, 4 and 1 bits err by about .01, .1 and .7.",
        "Neighbours are so close to one another that small changes reorder them."
        if shaky
        else "Small errors, such as those of 8-bit codes, leave the neighbours as they are.",
        "Expect codes below 8 bits to need rescoring, and show more results where you can." if shaky else "",
    )


def rewording(subject: Subject, encoder: Encoder, *, seed: int = 0) -> Finding:
    """How far a text moves when a tenth of its words are replaced by words of other texts."""
    _, x, asked, texts = beginnings(subject, encoder, seed)
    changed = replace_words(texts, share=_CHANGED, seed=seed)
    before, after = (unit(encoder.encode(some).values) for some in (texts, changed))
    moved = bootstrap_mean((before * after).sum(axis=1), seed=seed)
    truth, found = (nearest(v, x, K, own=asked)[0] for v in (before, after))
    kept = bootstrap_mean(overlap(truth, found), seed=seed)
    loose = kept.mean < _LOOSE
    return Finding(
        "rewording",
        "Whether neighbours stay when a tenth of the words are replaced at random",
        (figure("cosine to before", moved, ""), figure("neighbours kept", kept, "of the ten nearest")),
        f"beginnings of {len(asked)} texts, in {basis(len(x), len(subject), seed)}",
        "all-MiniLM-L6-v2 on abstracts: cosine .93, neighbours kept .77",
        "Single words decide what a text is near." if loose else "Meaning, not single words, decides what is near.",
        "Short texts suffer most: give them a title or their surroundings, and search by words (BM25) beside."
        if loose
        else "",
    )


def beginnings(subject: Subject, encoder: Encoder, seed: int) -> tuple[Array, Matrix, Array, list[str]]:
    """Rows of a sample and their vectors; positions among them, ascending, and what an encoder sees of their texts."""
    assert subject.texts is not None  # noqa: S101  # the caller has looked; this is for mypy
    rows, x = _sample(subject, seed)
    asked = np.sort(np.random.default_rng(seed).choice(len(x), min(_TEXTS, len(x)), replace=False))
    return rows, x, asked, [_beginning(text, encoder.window // 3) for text in subject.texts(rows[asked].tolist())]


def _beginning(text: str, words: int) -> str:
    """The first words of a text; in technical prose a word takes up to three tokens, and the encoder must see it."""
    return " ".join(text.split()[: max(words, 1)])


def replace_words(texts: Sequence[str], *, share: float = 0.0, count: int = 1, seed: int) -> list[str]:
    """Texts with a share of their words, at least ``count``, replaced by words drawn from all of them."""
    rng = np.random.default_rng(seed)
    words = [word for text in texts for word in _WORD.findall(text)]
    out = []
    for text in texts:
        places = list(_WORD.finditer(text))
        many = max(count, round(share * len(places)))
        for i in sorted(
            rng.permutation(len(places))[:many].tolist(), reverse=True
        ):  # from the end, so that earlier places stay where they are
            word = words[int(rng.integers(len(words)))]
            text = text[: places[i].start()] + word + text[places[i].end() :]  # noqa: PLW2901
        out.append(text)
    return out


def overlap(truth: Array, found: Array) -> Array:
    """``[q]`` the share of each row of ``truth`` that is in that of ``found``; -1 is padding."""
    pairs = zip(truth.tolist(), found.tolist(), strict=True)
    return np.array([len({*a} & {*b} - {-1}) / max(len({*a} - {-1}), 1) for a, b in pairs])


def _sample(subject: Subject, seed: int) -> tuple[Array, Matrix]:
    rows = subject.sample(_ROWS, seed=seed)
    return rows, unit(subject.take(rows))


def figure(name: str, found: Interval, note: str) -> Figure:
    """A mean with its interval, where there is one."""
    return Figure(name, found.mean, (found.low, found.high) if found.n > 1 else None, note)
