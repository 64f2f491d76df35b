"""Vectors with a known answer, and scores with a known truth."""

import numpy as np
import pytest

from nestvec.planner import Agreement, Judged, Task, View
from nestvec.planner.screening import Costs


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def vectors(n=400, q=60, dim=32, *, seed=0, noise=0.35):
    """Documents, queries near some of them, and which; the leading dimensions say most."""
    rng = np.random.default_rng(seed)
    scale = np.linspace(2, 0.3, dim)
    documents = rng.standard_normal((n, dim)) * scale
    answer = rng.choice(n, q, replace=False)
    queries = documents[answer] + noise * rng.standard_normal((q, dim)) * scale
    return unit(documents), unit(queries), answer


@pytest.fixture(scope="session")
def judged():
    """One view, and what is judged: the document that each query was made of."""
    documents, queries, answer = vectors()
    target = Judged(tuple({int(i): 1.0} for i in answer), np.arange(len(documents)))
    return Task([View(None, documents, queries, fitted=False)], target, len(documents), documents.shape[1])


@pytest.fixture(scope="session")
def unjudged():
    """The same without judgements."""
    documents, queries, _ = vectors()
    found = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :11].astype(np.int64)
    target = Agreement.of(found, np.full(len(queries), -1))
    return Task([View(None, documents, queries, fitted=False)], target, len(documents), documents.shape[1])


def simulated(truth, queries, *, rng):
    """Scores ``[c, q]`` in [0, 1] where candidate ``c`` keeps ``truth[c]`` of the first's mean in the long run."""
    full = rng.beta(0.6, 0.4, queries)
    scores = np.empty((len(truth), queries))
    for c, share in enumerate(truth):
        hit = rng.random(queries) < min(2 * (1 - share), 1)
        scores[c] = np.where(hit, full * rng.random(queries), full) if share < 1 else full
    return scores


def costs(ram, *, p95=None):
    """Costs of candidates of given memory; times follow it unless they are given."""
    ram = np.asarray(ram, np.int64)
    times = ram * 1e-9 if p95 is None else np.asarray(p95, np.float64)
    return Costs(ram, ram, times / 2, times, np.zeros(len(ram), bool))
