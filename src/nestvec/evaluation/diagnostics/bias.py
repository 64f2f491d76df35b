"""Whether length, of vectors or of texts, decides what is found."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Matrix
from nestvec.evaluation.diagnostics.finding import Figure, Finding
from nestvec.evaluation.diagnostics.subject import Subject, basis
from nestvec.kernels.neighbours import unit
from nestvec.metrics.bootstrap import bootstrap_mean

_ROWS = 5_000
_ASKED = 200  # items taken as queries when scores are set against length
_STRONG = 0.3  # correlation from which length explains a tenth of the variance
_UNEVEN = 0.05  # coefficient of variation of norms


def norms(subject: Subject, *, seed: int = 0) -> Finding:
    """How much vectors differ in length, and whether long texts score higher or lower than short ones."""
    rows = subject.sample(_ROWS, seed=seed)
    x = subject.take(rows)
    lengths = np.linalg.norm(x.astype(np.float64), axis=1)
    uneven = float(lengths.std() / lengths.mean()) if lengths.mean() > 0 else float("nan")
    figures = [
        Figure("mean norm", float(lengths.mean())),
        Figure("variation of norms", uneven, note="deviation over mean; 0 for unit vectors"),
        Figure("zero vectors", float(np.count_nonzero(lengths == 0))),
    ]
    score_bias = 0.0
    if subject.texts is not None and len(rows) > 2:
        size = np.log1p([len(text) for text in subject.texts(rows.tolist())])
        by_query = _score_correlations(unit(x), size, seed=seed)
        if uneven > 1e-3:
            figures.append(Figure("norm and text length", _correlation(lengths, size), note="correlation"))
        if len(by_query):
            found = bootstrap_mean(by_query, seed=seed)
            score_bias = found.mean
            note = f"mean correlation over {found.n} items asked with"
            figures.append(Figure("score and text length", found.mean, (found.low, found.high), note))
    return Finding(
        "length",
        "Whether length decides what is found",
        tuple(figures),
        basis(len(rows), len(subject), seed) + ("" if subject.texts else "; there are no texts to set them against"),
        "all-MiniLM-L6-v2: unit vectors; score and text length -.05 on 5,183 abstracts, .19 on 1,400",
        _meaning(uneven, score_bias),
        _advice(uneven, score_bias, zeros=bool((lengths == 0).any())),
    )


def _score_correlations(x: Matrix, size: Array, *, seed: int) -> Array:
    """For some items as queries: correlation of the cosine of all others with the logarithm of their length."""
    if np.ptp(size) == 0:
        return np.zeros(0)
    asked = np.random.default_rng(seed).choice(len(x), min(_ASKED, len(x)), replace=False)
    scores = x[asked] @ x.T
    return np.array([_correlation(np.delete(s, i), np.delete(size, i)) for s, i in zip(scores, asked, strict=True)])


def _correlation(a: Array, b: Array) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _meaning(uneven: float, bias: float) -> str:
    if abs(bias) > _STRONG:
        return f"{'Long' if bias > 0 else 'Short'} texts score higher whatever is asked."
    if uneven > _UNEVEN:
        return "Vectors differ in length: the inner product prefers the long ones, the cosine does not."
    return "Neither the length of vectors nor that of texts has much to say."


def _advice(uneven: float, bias: float, *, zeros: bool) -> str:
    said = []
    if abs(bias) > _STRONG:
        said.append("Split long documents into passages of a few hundred tokens, so that lengths are alike.")
    if uneven > _UNEVEN:
        said.append("Make sure that the metric is the one the model was trained for.")
    if zeros:
        said.append("Zero vectors come from empty texts or a failing encoder: find out which.")
    return " ".join(said)
