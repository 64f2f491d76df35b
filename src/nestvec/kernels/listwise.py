"""ListNet: how far one list of scores is from another, and its gradient."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Float32


def softmax(scores: Float32[np.ndarray, "q k"]) -> Float32[np.ndarray, "q k"]:
    """Rows that sum to 1."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), np.float32)


def listnet(
    teacher: Float32[np.ndarray, "q k"], student: Float32[np.ndarray, "q k"], *, temperature: float
) -> tuple[float, Float32[np.ndarray, "q k"]]:
    """``mean_q -sum_k softmax(teacher / t)_k log softmax(student / t)_k``, and its gradient by ``student``.

    The top-one form. The least it can be is the entropy of the teacher, reached where both lists agree.

    Args:
        teacher: ``[q, k]`` scores to agree with.
        student: ``[q, k]`` scores.
        temperature: ``t``.

    Returns:
        The loss, and ``[q, k]`` ``(softmax(student / t) - softmax(teacher / t)) / (t q)``.

    Source: Cao et al. 2007, sec. 4 (ICML).
    """
    t = np.float32(temperature)
    p, r = softmax(teacher / t), softmax(student / t)
    log_r = student / t - student.max(axis=1, keepdims=True) / t
    log_r = log_r - np.log(np.exp(log_r).sum(axis=1, keepdims=True))
    loss = float(-(p * log_r).sum(axis=1, dtype=np.float64).mean()) if len(p) else 0.0
    return loss, (r - p) / (t * np.float32(max(len(p), 1)))
