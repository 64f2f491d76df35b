"""Time and exactness of fewer layers, and speed and start of the token table alone, beside the full model.

``NESTVEC_LADDER`` names the folder of another ladder than the one that comes with nestvec.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np

from benchmarks.harness import Outcome, data, ratio, times
from nestvec.encoders import StaticEncoder, TextEncoder, TruncationWarning
from nestvec.encoders.samples import PARITY

KEYS = ("d3_time_ratio", "d1_time_ratio", "d0_speedup", "d0_load_s", "cut_vs_tap_max")
_MANY = 400  # texts for the table, which is done with fewer before a clock has moved
_LADDER = os.environ.get("NESTVEC_LADDER", "default")
_LOAD = f"""
import time
start = time.perf_counter()
from nestvec.encoders import load
load(size="L0", ladder={_LADDER!r}).encode(["a text"])
print(time.perf_counter() - start)
import sys
sys.exit("torch" in sys.modules)
"""


def run(*, quick: bool) -> Outcome:
    """Encode the same texts at every depth, in turn; the table on texts whose words it may or may not have met."""
    outcome = Outcome(dict.fromkeys(KEYS), ("size", "made", "texts/s", "time / full", "times as fast", "weights MB"))
    found = _texts()
    if found is None:
        outcome.missing = dict.fromkeys(KEYS, "no data folder; set NESTVEC_DATA")
        return outcome
    texts, many, others = found[: 96 if quick else 400], found[:_MANY], found[_MANY:]
    encoder = TextEncoder.load(ladder=_LADDER)
    plain = TextEncoder.load(ladder=None, precision="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # every depth cuts at the same token
        _layers(encoder, texts, outcome, repeats=2 if quick else 5)
        _table((encoder, plain), texts, many, others, outcome, repeats=3 if quick else 5)
        outcome.figures["cut_vs_tap_max"] = max(_difference(plain, k) for k in range(1, plain.layers + 1))
    starts = [_start() for _ in range(3 if quick else 7)]
    outcome.figures["d0_load_s"] = statistics.median(starts)
    outcome.notes += [
        encoder.precision_reason,
        f"{len(texts)} Cranfield abstracts ({len(many)} for L0, by the text); time ratios are medians of paired runs.",
        "d0_speedup: the table has met other abstracts, as in a collection; _first: nothing; _again: these very ones.",
        "d0_speedup_float32: the first of these beside the full model in float32.",
        "d0_load_s: import, load and one text in a fresh interpreter that has started; no torch is loaded.",
        "cut_vs_tap_max: largest difference of any token state between a cut model and the tapped layer, float32.",
    ]
    return outcome


def _layers(encoder: TextEncoder, texts: list[str], outcome: Outcome, *, repeats: int) -> None:
    depths = [encoder.layers, *range(encoder.layers - 1, 0, -1)]
    views = [encoder.at(f"L{k}") for k in depths]
    work: list[Callable[[], object]] = [lambda view=view: view.encode(texts) for view in views]  # type: ignore[misc]
    taken = times(*work, repeats=repeats)
    for k, view, seconds in zip(depths, views, taken, strict=True):
        part = ratio(seconds, taken[0])
        outcome.figures[f"d{k}_time_ratio"] = part
        rung = encoder.ladder.rung(k) if encoder.ladder else None
        weights = sum(p.nbytes for p in view.stack.modules[0].parameters()) if isinstance(view, TextEncoder) else 0
        weights += sum(b.nbytes for b in view.stack.modules[0].buffers()) if isinstance(view, TextEncoder) else 0
        speed = len(texts) / statistics.median(seconds)
        outcome.rows.append((f"L{k}", rung.kind if rung else "model", speed, part, 1 / part, weights / 1e6))
    outcome.figures["full_texts_per_s"] = len(texts) / statistics.median(taken[0])


def _table(
    wholes: tuple[TextEncoder, TextEncoder],
    texts: list[str],
    many: list[str],
    others: list[str],
    outcome: Outcome,
    *,
    repeats: int,
) -> None:
    """The table on ``many``, opened anew for every run, and the full model on ``texts``, in turn; by the text."""
    full: list[float] = []
    exact: list[float] = []
    met: dict[str, list[float]] = {"_first": [], "": [], "_again": []}
    said = {"_first": "met nothing", "": f"met {len(others)} others", "_again": "met these texts"}
    for _ in range(repeats):
        fast, slow = times(lambda: wholes[0].encode(texts), lambda: wholes[1].encode(texts), repeats=1, warmup=0)
        full += [fast[0] / len(texts)]
        exact += [slow[0] / len(texts)]
        for name, warm in (("_first", []), ("", others), ("_again", many)):
            table = StaticEncoder.load(ladder=_LADDER)
            table.encode(warm)
            met[name] += [times(lambda made=table: made.encode(many), repeats=1, warmup=0)[0][0] / len(many)]  # type: ignore[misc]
    outcome.figures["d0_speedup_float32"] = ratio(exact, met[""])
    made = "table of a ladder" if table.ladder else "own embeddings"
    for name, seconds in met.items():
        key = f"d0_speedup{name}"
        outcome.figures[key] = ratio(full, seconds)
        outcome.rows.append(
            (f"L0, {said[name]}", made, 1 / statistics.median(seconds), ratio(seconds, full), outcome.figures[key],
             table.nbytes / 1e6)
        )  # fmt: skip


def _difference(encoder: TextEncoder, depth: int) -> float:
    """Largest difference between the states of the cut model and those of the whole one, which is not cut."""
    import torch

    texts = list(PARITY[:12])
    first = encoder.stack.modules[0]
    given = first.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    features = {name: given[name] for name in ("input_ids", "attention_mask")}
    view = encoder.at(f"L{depth}")
    assert isinstance(view, TextEncoder)
    with torch.inference_mode():
        whole = first.auto_model(**features, output_hidden_states=True).hidden_states[depth]
        got = view.stack.modules[0]({**features, "modality": "text"})["token_embeddings"]
    return float((whole - got)[features["attention_mask"].bool()].abs().max())


def _start() -> float:
    done = subprocess.run([sys.executable, "-c", _LOAD], check=True, capture_output=True, text=True)
    return float(done.stdout)


def _texts() -> list[str] | None:
    """All abstracts with their titles, in an order of no meaning."""
    folder = data("cranfield")
    if folder is None:
        return None
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [f"{row['title']} {row['text']}" for row in rows]
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]
