"""What the default model keeps at depths 3, 2, 1 and 0: as it is, with closed forms, and with the shipped ladder.

``NESTVEC_LADDER`` names the folder of another ladder to measure. ``NESTVEC_LADDER_ALONE`` names folders of ladders
that were trained for one depth each, without the rungs beside it (with ``:`` between, ``;`` on Windows): the small
models that a shared ladder has to be compared with.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks import _judged
from benchmarks.harness import Outcome, data
from nestvec.core.types import Matrix
from nestvec.metrics import Interval

DEPTHS = (3, 2, 1, 0)
SETS = ("scifact", "cranfield", "medline")
MADE = {"": "ladder", "_raw": "as it is", "_closed": "closed form", "_alone": "trained alone"}
_WAYS = tuple(way for way in MADE if way)
_CLOSED_TEXTS = 8000  # a head has 148,000 numbers; more texts than these move it little
_QUICK_PAIRS = 200


def run(*, quick: bool) -> Outcome:
    """Measure every rung, made in three ways, on sentence pairs and on collections."""
    keys = [f"L{k}_stsb{m}" for k in DEPTHS for m in MADE] + [
        f"L{k}_{name}_kept{m}" for k in DEPTHS for name in SETS for m in MADE
    ]
    outcome = Outcome(dict.fromkeys(keys), ("set", "rung", "made", "score", "low", "high", "kept"))
    encoders = _encoders(outcome, quick=quick)
    if not encoders:
        return outcome
    _pairs(encoders, outcome, quick=quick)
    for name in SETS:
        _collection(name, encoders, outcome, quick=quick)
    shipped = encoders["full"].ladder
    if shipped is not None:
        outcome.figures["bytes"] = shipped.nbytes
    outcome.notes += [
        "stsb: Spearman correlation on the test split; others: nDCG@10 on whole documents, cut off at the window.",
        "Intervals: 95 % bootstrap, over pairs and over queries.",
        "kept: part of the full model's score. closed form: heads by ridge, table from one pass of the vocabulary.",
        "trained alone: by the same recipe and as long, for that depth only.",
    ]
    return outcome


def _encoders(outcome: Outcome, *, quick: bool) -> dict[str, Any]:
    """``full`` and, for each depth and way, an encoder under ``L{k}{way}``."""
    try:
        from nestvec.encoders import load

        full = load(ladder=os.environ.get("NESTVEC_LADDER", "default"))
        plain = load(ladder=None)
    except ImportError as error:
        outcome.missing |= dict.fromkeys(outcome.figures, str(error))
        return {}
    found: dict[str, Any] = {"full": full}
    closed = _closed(outcome, quick=quick)
    for way, encoder in (("", full), ("_raw", plain), ("_closed", closed)):
        for k in DEPTHS:
            key = f"L{k}{way}"
            if encoder is None:
                continue
            if way != "_raw" and (encoder.ladder is None or encoder.ladder.rung(k) is None):
                _miss(outcome, key, "there is no ladder with that rung")
                continue
            found[key] = encoder.at(f"L{k}")
    return found | _alone(outcome)


def _alone(outcome: Outcome) -> dict[str, Any]:
    """An encoder under ``L{k}_alone`` for each depth that was trained by itself."""
    from nestvec.encoders import load

    folders = filter(None, os.environ.get("NESTVEC_LADDER_ALONE", "").split(os.pathsep))
    found = {}
    for folder in folders:
        encoder = load(ladder=folder)
        depths = [rung.depth for rung in encoder.ladder.rungs] if encoder.ladder else []
        if len(depths) != 1:
            raise ValueError(f"a ladder trained alone must have one rung, got {depths} in {folder!r}.")
        found[f"L{depths[0]}_alone"] = encoder.at(f"L{depths[0]}")
    for k in DEPTHS:
        if f"L{k}_alone" not in found:
            _miss(outcome, f"L{k}_alone", "no ladder of that depth alone; NESTVEC_LADDER_ALONE names folders")
    return found


def _closed(outcome: Outcome, *, quick: bool) -> Any:
    """None, or an encoder whose ladder was only solved for, on texts that no evaluation has."""
    from nestvec.encoders import load
    from nestvec.training.fit import Plan, fit

    texts = _texts(600 if quick else _CLOSED_TEXTS)
    if not texts:
        for k in DEPTHS:
            _miss(outcome, f"L{k}_closed", "the data sets to fit on are not there")
        return None
    fitted = fit("default", texts, plan=Plan(steps=0, depths=(1, 2, 3), table_ranks=(116,), held_out=200))
    return load(ladder=fitted.ladder)


def _texts(most: int) -> list[tuple[str, str]]:
    """Every how-many-eth text of the sets that the shipped ladder was trained on."""
    from benchmarks._ladder_texts import SETS as SOURCES

    if data("wordnet_nouns") is None or data("debian_packages") is None:
        return []
    names = ("debian_packages", "wordnet_nouns", "stsb_train", "octis_topics")
    found = [pair for name in names for pair in list(SOURCES[name]())[::40]]
    return found[:: max(1, len(found) // most)]


def _pairs(encoders: Mapping[str, Any], outcome: Outcome, *, quick: bool) -> None:
    folder = data("stsb")
    if folder is None:
        for key in outcome.figures:
            if "_stsb" in key:
                outcome.missing[key] = "the data set stsb is not there"
        return
    pairs = _judged.Pairs.load(folder / "en_test.jsonl", most=_QUICK_PAIRS if quick else None)
    found = pairs.measure(lambda texts: _vectors(encoders, texts))
    full = found["full"].mean
    for name, interval in found.items():
        rung, way = _parts(name)
        _put(outcome, f"{rung}_stsb", way, interval)
        outcome.rows.append(_row("stsb", rung, way, interval.mean, interval.low, interval.high, interval.mean / full))


def _collection(name: str, encoders: Mapping[str, Any], outcome: Outcome, *, quick: bool) -> None:
    judged = _judged.collection(name, quick=quick)
    if judged is None:
        for key in outcome.figures:
            if f"_{name}_" in key:
                outcome.missing[key] = f"the data set {name} is not there"
        return
    values = _judged.measure(judged, lambda texts: _vectors(encoders, texts))
    full = float(values["full"].mean())
    for key, scores in values.items():
        rung, way = _parts(key)
        interval = _judged.interval(scores)
        _put(outcome, f"{rung}_{name}", way, interval)
        if rung != "full":
            outcome.figures[f"{rung}_{name}_kept{way}"] = interval.mean / full
        outcome.rows.append(_row(name, rung, way, interval.mean, interval.low, interval.high, interval.mean / full))
    for k in DEPTHS:
        if {f"L{k}", f"L{k}_closed"} <= set(values):
            gain = _judged.interval(values[f"L{k}"] - values[f"L{k}_closed"])
            outcome.notes.append(f"{name}, L{k}: the shipped ladder minus closed form, query by query: {gain}")


def _put(outcome: Outcome, key: str, way: str, interval: Interval) -> None:
    outcome.figures |= {
        f"{key}{way}": interval.mean, f"{key}{way}_low": interval.low, f"{key}{way}_high": interval.high
    }  # fmt: skip


def _vectors(encoders: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Matrix]:
    with _quiet():
        return {name: np.asarray(encoder.encode(texts).values) for name, encoder in encoders.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Whole documents are cut off at the window here, as in published scores; the warning of it says nothing new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _parts(name: str) -> tuple[str, str]:
    rung, _, way = name.partition("_")
    return rung, f"_{way}" if way else ""


def _row(name: str, rung: str, way: str, *numbers: float) -> Sequence[object]:
    return (name, rung, MADE[way] if rung != "full" else "", *numbers)


def _miss(outcome: Outcome, name: str, reason: str) -> None:
    rung, way = _parts(name)
    for key in outcome.figures:
        if key.startswith(f"{rung}_") and (key.endswith(way) if way else not key.endswith(_WAYS)):
            outcome.missing[key] = reason
