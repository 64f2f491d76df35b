"""Random orthogonal matrices."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Float32


def random_rotation(dim: int, *, seed: int = 0) -> Float32[np.ndarray, "d d"]:
    """An orthogonal matrix, uniform among all of them: Q of the QR of a Gaussian matrix, signs made unique.

    Source: Mezzadri 2007, sec. 5 (arXiv:math-ph/0609050).
    """
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))
    return np.ascontiguousarray(q * np.where(np.diag(r) < 0, -1.0, 1.0), dtype=np.float32)
