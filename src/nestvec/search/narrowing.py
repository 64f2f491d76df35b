"""The funnel of a collection: its widths and what it keeps are chosen by measured recall, and measured again in time.

A funnel is only a handful of numbers: it reads the vectors where they lie, so commits, deletes and older versions need
no upkeep. The numbers stand in the info of a derived file.
"""

from __future__ import annotations

import json
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nestvec.core.errors import NestvecError
from nestvec.core.types import JSON
from nestvec.search.codes import FROM, GROWN, flat_over
from nestvec.search.flat import Flat
from nestvec.search.funnel import Funnel, tune_funnel
from nestvec.search.settings import ARRAY, borders
from nestvec.search.warning import IndexWarning
from nestvec.store import Store

FUNNEL = "funnel"
_K = 10


@dataclass(frozen=True)
class FunnelReport:
    """A funnel as it was measured.

    Args:
        widths: dimensions that are looked at, one after the other.
        keep: rows that are left after each, for ten results.
        rows: of the collection when it was measured.
        recall: share of the 10 nearest rows found, on a sample of stored rows; exact is 1.
        target: the recall that was asked for.
        seconds: how long measuring took.
    """

    widths: tuple[int, ...]
    keep: tuple[int, ...]
    rows: int
    recall: float
    target: float
    seconds: float

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {**asdict(self), "widths": list(self.widths), "keep": list(self.keep)}


class Narrowing:
    """The funnel of one open collection. Safe to use from several threads.

    Args:
        store: where its numbers are kept, and the vectors.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._making = threading.Lock()

    def over(self, flat: Flat) -> Funnel | None:
        """The funnel over ``flat``; None where none was measured for vectors of its dim."""
        told = self._store.derived_info(FUNNEL)
        if told is None or max(told["widths"]) >= flat.dim:
            return None
        return Funnel(flat, tuple(told["widths"]), tuple(told["keep"]), _K, told["recall"])

    def info(self) -> dict[str, JSON] | None:
        """What was measured, and ``laid_out``: the share of rows on the disk that lie in bands; None if nothing was."""
        told = self._store.derived_info(FUNNEL)
        if told is None:
            return None
        with self._store.read() as snapshot:
            segments = snapshot.segments(ARRAY)
        banded = sum(len(s) for s in segments if len(s.bands) > 1)
        return {**_report(told).to_json(), "laid_out": round(banded / max(sum(map(len, segments)), 1), 4)}

    def refresh(self, *, wanted: bool, target: float) -> FunnelReport | None:
        """Measure a funnel where there is none yet, or rows have doubled or halved since; None if nothing is due.

        Args:
            wanted: whether the collection is to have one; False to take it away.
            target: recall asked of the ten nearest.

        Warns:
            IndexWarning: the disk refuses or vectors are damaged; all vectors are then searched whole.
        """
        with self._making:
            try:
                with self._store.read() as snapshot:
                    return self._refresh(flat_over(snapshot), wanted=wanted, target=target)
            except NestvecError as cause:  # records are safe whatever becomes of the funnel
                message = f"no funnel could be measured over {self._store.path}: {cause}"
                warnings.warn(message, IndexWarning, stacklevel=3)
                return None

    def _refresh(self, flat: Flat, *, wanted: bool, target: float) -> FunnelReport | None:
        told = self._store.derived_info(FUNNEL)
        n = len(flat)
        if not wanted or n < FROM:
            if told is not None:
                self._store.drop_derived(FUNNEL)
            return None
        if told is not None and told["target"] == target and told["rows"] < GROWN * n and n < GROWN * told["rows"]:
            return None
        start = time.monotonic()
        made = tune_funnel(flat, borders(flat.dim), target=target, k=_K)
        seconds = round(time.monotonic() - start, 3)
        report = FunnelReport(made.widths, made.keep, n, round(made.recall, 4), target, seconds)
        self._store.put_derived(FUNNEL, json.dumps(report.to_json()).encode(), report.to_json())
        return report


def _report(told: Mapping[str, Any]) -> FunnelReport:
    known = {name: told[name] for name in FunnelReport.__dataclass_fields__}
    return FunnelReport(**{**known, "widths": tuple(known["widths"]), "keep": tuple(known["keep"])})
