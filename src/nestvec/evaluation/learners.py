"""The two learners of scikit-learn that judge vectors here, and which line installs them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from nestvec.core.errors import MissingExtraError
from nestvec.core.types import Array, Float32, Int64, Matrix

_ITERATIONS = 100  # of L-BFGS, as in MTEB; scikit-learn stops there with a warning that means nothing here
_BATCH = 512  # texts a step of mini-batch k-means, as in MTEB


def logistic(
    train: Float32[np.ndarray, "t d"], labels: Sequence[str], test: Float32[np.ndarray, "n d"], *, seed: int
) -> Array:
    """``[n]`` labels of ``test`` by multinomial logistic regression with an L2 penalty of 1.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError as cause:
        raise MissingExtraError("A probe by logistic regression", "evaluate") from cause
    learner = LogisticRegression(max_iter=_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(train, np.asarray(labels))
    found: Array = np.asarray(learner.predict(test))
    return found


def clusters(x: Matrix, k: int, *, seed: int) -> Int64[np.ndarray, " n"]:
    """``[n]`` the cluster of each row, by mini-batch k-means from one k-means++ start.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Source: Sculley 2010 (WWW); start: Arthur and Vassilvitskii 2007.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as cause:
        raise MissingExtraError("Clustering", "evaluate") from cause
    learner = MiniBatchKMeans(n_clusters=k, batch_size=_BATCH, init="k-means++", n_init=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different texts than groups: some stay empty
        return np.asarray(learner.fit_predict(x), np.int64)
