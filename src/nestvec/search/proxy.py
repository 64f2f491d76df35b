"""How well the single vector stands for several in one collection: measured on its own rows, kept, measured again.

Some rows of a sample are queries, by their own vectors. Their ten best in the sample are found by MaxSim; then it is
counted how deep in the order of the single vectors each of them lies. That depth, scaled from the sample to all rows,
says how many candidates a search must look at.
"""

from __future__ import annotations

import json
import math
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nestvec.core.errors import NestvecError
from nestvec.core.types import JSON, Float32, Int64
from nestvec.core.vectors import MultiVectors
from nestvec.kernels.maxsim import maxsim_many
from nestvec.kernels.proxy import ProxyRecall
from nestvec.search.codes import GROWN
from nestvec.search.late import EXACT, living
from nestvec.search.settings import ARRAY
from nestvec.search.several import TOKENS, Several
from nestvec.search.warning import IndexWarning
from nestvec.store import Snapshot, Store

PROXY = "late"
_K = 10
_UNMEASURED = 400  # candidates for ten results where nothing was measured yet
_FEWEST, _MOST = 50, 3_200  # candidates, whatever was measured: reading more would cost more than it brings
_VECTORS = 1 << 18  # of the sample: compared in a few seconds
_QUERIES = 64  # rows taken as queries: their 640 best fix a recall of .99 to about .01
_LONGEST = 16  # vectors of a query, spread over those of its row: questions are shorter than passages


@dataclass(frozen=True)
class ProxyReport:
    """What single vectors are worth for finding candidates, as it was measured.

    Args:
        rows: of the collection then.
        sample: rows that were compared.
        m: candidates for ten results that reach the target, 50 to 3,200.
        recall: share of the ten best by MaxSim that are among so many candidates.
        at_200: the same for 200 candidates.
        target: recall that was asked for; where ``fixed``, nothing came of it.
        seconds: how long measuring took.
        fixed: whether ``m`` was given; else it is the least that reaches ``target``.
    """

    rows: int
    sample: int
    m: int
    recall: float
    at_200: float
    target: float
    seconds: float
    fixed: bool = False

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return dict(asdict(self))


class Proxy:
    """The measurement of one open collection. Safe to use from several threads.

    Args:
        store: where it is kept, and the vectors.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._making = threading.Lock()

    def candidates(self) -> int:
        """How many candidates to look at for ten results."""
        told = self._store.derived_info(PROXY)
        return _UNMEASURED if told is None else int(told["m"])

    def info(self) -> dict[str, JSON] | None:
        """What was measured; None if nothing was."""
        told = self._store.derived_info(PROXY)
        if told is None:
            return None
        return {"fixed": False} | {name: told[name] for name in ProxyReport.__dataclass_fields__ if name in told}

    def refresh(self, several: Several | None, *, target: float, m: int = 0) -> ProxyReport | None:
        """Measure where that is due: nothing was yet, or rows have doubled or halved since; None if it is not.

        Args:
            several: how vectors are kept; None where a record has one.
            target: recall asked of the ten best.
            m: candidates that are looked at, whatever recall that gives; 0 for as many as ``target`` takes.

        Warns:
            IndexWarning: single vectors find too few of the best here and ``m`` is 0, the disk refuses, or vectors are
                damaged.
        """
        with self._making:
            try:
                with self._store.read() as snapshot:
                    report = self._measure(snapshot, several, target, m)
            except NestvecError as cause:
                message = f"candidates could not be measured in {self._store.path}: {cause}"
                warnings.warn(message, IndexWarning, stacklevel=3)
                return None
        if report is not None and not report.fixed and report.recall < target:
            warnings.warn(
                f"single vectors are poor candidates in {self._store.path}: of the ten best by MaxSim, "
                f"{report.recall:.3g} are among {report.m}, and {target:.3g} was asked for.",
                IndexWarning,
                stacklevel=3,
            )
        return report

    def _measure(self, snapshot: Snapshot, several: Several | None, target: float, m: int) -> ProxyReport | None:
        told, n = self._store.derived_info(PROXY), len(snapshot)
        if several is None or n <= EXACT:
            if told is not None:
                self._store.drop_derived(PROXY)
            return None
        if told is not None and told["rows"] < GROWN * n and n < GROWN * told["rows"] and _asked(told) == (m, target):
            return None
        start = time.monotonic()
        sample, kept = _sample(snapshot, several)
        if len(sample) < 2:
            return None
        asked = np.linspace(0, len(sample) - 1, min(_QUERIES, len(sample))).astype(np.int64)
        single = snapshot.vectors(ARRAY, sample)
        proxy = ProxyRecall.measure(_exact(kept, asked), single[asked] @ single.T, k=_K, own=asked)
        scale = n / len(sample)
        fixed, m = m > 0, m or int(np.clip(math.ceil(proxy.needed(target) * scale), _FEWEST, _MOST))
        found, at_200 = proxy.at(math.ceil(m / scale)), proxy.at(math.ceil(200 / scale))
        seconds = round(time.monotonic() - start, 3)
        report = ProxyReport(n, len(sample), m, round(found, 4), round(at_200, 4), target, seconds, fixed)
        self._store.put_derived(PROXY, json.dumps(report.to_json()).encode(), report.to_json())
        return report


def _asked(told: Mapping[str, Any]) -> tuple[int, float]:
    """What was asked for when it was measured: so many candidates, or 0, and so much recall."""
    return (int(told["m"]) if told.get("fixed") else 0), float(told["target"])


def _sample(snapshot: Snapshot, several: Several) -> tuple[Int64[np.ndarray, " s"], MultiVectors]:
    """Row ids, ascending, with their vectors: rows with about :data:`_VECTORS` vectors together, none empty."""
    live = living(snapshot)
    lengths = [len(segment.held.values) / len(segment) for segment in snapshot.ragged(TOKENS)]
    most = max(2 * EXACT, int(_VECTORS / max(1, *lengths)))
    rows = np.sort(np.random.default_rng(0).choice(live, min(most, len(live)), replace=False))
    codes = snapshot.several(TOKENS, rows)
    some = np.flatnonzero(np.diff(codes.offsets))
    return rows[some], several.unpack(codes[some])


def _exact(kept: MultiVectors, asked: Int64[np.ndarray, " q"]) -> Float32[np.ndarray, "q s"]:
    """MaxSim of every row of the sample with those that are asked, by some of their vectors."""
    queries = [_spread(kept[int(i)]) for i in asked]
    offsets = np.cumsum([0, *map(len, queries)])
    return maxsim_many(np.concatenate(queries), offsets, kept.values, kept.offsets)


def _spread(vectors: Float32[np.ndarray, "t d"]) -> Float32[np.ndarray, "_ d"]:
    return vectors[np.linspace(0, len(vectors) - 1, min(_LONGEST, len(vectors))).astype(np.int64)]
