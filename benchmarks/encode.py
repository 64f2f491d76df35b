"""Documents a second of the text encoder, beside sentence-transformers at its defaults, on the same texts."""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, data, ratio, times
from nestvec.core import Record
from nestvec.encoders import TextEncoder, TruncationWarning
from nestvec.encoders.backbone import open_model
from nestvec.encoders.batches import padding_waste
from nestvec.encoders.precision import cosines

KEYS = ("vs_st", "cosine_min", "batch_single_max_diff", "docs_per_s", "tokens_per_s", "padding_waste", "peak_rss_mb")


def run(*, quick: bool) -> Outcome:
    """Time both on each data set, in turn, and compare every vector."""
    outcome = Outcome(
        figures=dict.fromkeys(KEYS),
        columns=("data set", "texts", "docs/s", "peer docs/s", "times", "cosine min", "batch-single", "padding waste"),
    )
    texts = {"cranfield": _cranfield(96 if quick else 700), "debian": _debian(128 if quick else 1500)}
    found = {name: rows for name, rows in texts.items() if rows}
    if not found:
        outcome.missing = dict.fromkeys(KEYS, "no data folder; set NESTVEC_DATA")
        return outcome
    encoder = TextEncoder.load()
    peer = open_model(encoder.folder, device=encoder.device)
    each = {
        name: _measure(encoder, peer, rows, repeats=3 if quick else 5, singles=16 if quick else 64)
        for name, rows in found.items()
    }
    for name, got in each.items():
        outcome.figures |= {f"{key}_{name}": value for key, value in got.items()}
        outcome.rows.append(
            (name, len(found[name]), got["docs_per_s"], got["peer_docs_per_s"], got["vs_st"], got["cosine_min"],
             got["batch_single_max_diff"], got["padding_waste"])
        )  # fmt: skip
    worst: dict[str, Callable[..., float]] = {"batch_single_max_diff": max, "padding_waste": max}
    for key in KEYS[:-1]:  # the plain keys hold the worse of the data sets
        outcome.figures[key] = worst.get(key, min)(got[key] for got in each.values())
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, Linux kilobytes
    outcome.figures["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
    outcome.notes = [
        encoder.precision_reason,
        "peer: sentence-transformers encode(), batch_size 32, float32. times: median of paired ratios.",
        "peak_rss_mb is the whole process, both models and torch in it.",
    ]
    return outcome


def _measure(encoder: TextEncoder, peer: object, texts: list[str], *, repeats: int, singles: int) -> dict[str, float]:
    kept: dict[str, np.ndarray] = {}

    def ours() -> None:
        kept["ours"] = encoder.encode(texts).values

    def theirs() -> None:
        kept["theirs"] = peer.encode(texts, show_progress_bar=False)  # type: ignore[attr-defined]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # both sides cut at the same token
        mine, other = times(ours, theirs, repeats=repeats)
        few = np.linspace(0, len(texts) - 1, min(len(texts), singles)).astype(int)
        alone = np.concatenate([encoder.encode([texts[i]]).values for i in few])
    # Special tokens and the cut at the window are part of the work.
    lengths = np.array([min(count, encoder.window) + 2 for count in encoder.count_tokens(texts)], np.int64)
    seconds = statistics.median(mine)
    return {
        "vs_st": ratio(other, mine),
        "cosine_min": float(cosines(kept["ours"], kept["theirs"]).min()),
        "batch_single_max_diff": float(np.abs(kept["ours"][few] - alone).max()),
        "docs_per_s": len(texts) / seconds,
        "peer_docs_per_s": len(texts) / statistics.median(other),
        "tokens_per_s": int(lengths.sum()) / seconds,
        "padding_waste": padding_waste(lengths, budget=encoder.batch_tokens),
    }


def _cranfield(n: int) -> list[str]:
    folder = data("cranfield")
    rows = _rows(folder / "corpus.jsonl.gz", n, step=2) if folder else []
    return [Record(str(r["_id"]), str(r["text"]), title=str(r["title"])).full_text for r in rows]


def _debian(n: int) -> list[str]:
    folder = data("debian_packages")
    rows = _rows(folder / "packages.jsonl.gz", n, step=40) if folder else []
    return [Record(str(r["name"]), str(r["description"]), title=str(r["summary"])).full_text for r in rows]


def _rows(path: Path, n: int, *, step: int) -> list[dict[str, object]]:
    """Every ``step``-th of the first rows, so that families of alike neighbours do not fill the sample."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in itertools.islice(file, 0, n * step, step)]
