"""The default model with its token table in a fiftieth of its bytes: rank correlation on STS-B, by method."""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from benchmarks._judged import Pairs, cosine
from benchmarks.harness import Outcome, data
from nestvec.core.errors import InputError
from nestvec.core.types import Array

KEYS = ("bytes_ratio", "stsb_loss")
_RATIO = 50  # the table takes one of so many parts of its bytes
_METHODS = ("truncate", "low_rank", "subspace", "pq", "lr2vq")
_QUICK = ("truncate", "low_rank", "pq")
_TEXTS, _QUICK_TEXTS = 40_000, 2_000


def run(*, quick: bool) -> Outcome:
    """Compress with every method, load what was written, and encode the test pairs with it."""
    out = Outcome(
        dict.fromkeys(KEYS), ("method", "bytes", "of the table", "error", "STS-B", "low", "high", "loss", "fit s")
    )
    folder = data("stsb")
    texts = descriptions(_QUICK_TEXTS if quick else _TEXTS)
    if folder is None or not texts:
        out.missing = dict.fromkeys(KEYS, "no data folder with stsb and debian_packages; set NESTVEC_DATA")
        return out
    try:
        from nestvec.encoders import load
        from nestvec.training.vocabulary import compress_vocab
    except ImportError as error:
        out.missing = dict.fromkeys(KEYS, str(error))
        return out
    pairs = Pairs.load(folder / "en_test.jsonl")

    def cosines(source: str | Path) -> Array:
        encoder = load(source, ladder=None)
        return cosine(encoder.encode(pairs.first).values, encoder.encode(pairs.second).values)

    full = pairs.correlation(cosines("default"))
    out.rows.append(
        ("the whole table", "", 1.0, 0.0, round(full.mean, 4), round(full.low, 4), round(full.high, 4), 0.0, "")
    )
    ours = _QUICK[-1] if quick else _METHODS[-1]
    for method in _QUICK if quick else _METHODS:
        with tempfile.TemporaryDirectory() as where:
            start = time.perf_counter()
            try:
                made = compress_vocab("default", Path(where) / "model", texts, method=method)
            except InputError as error:
                out.notes.append(f"{method}: {error}")
                continue
            seconds = time.perf_counter() - start
            found = pairs.correlation(cosines(made.folder))
        loss = full.mean - found.mean
        out.rows.append(
            (
                method, made.vocabulary.nbytes, round(made.ratio, 5), round(made.error, 3), round(found.mean, 4),
                round(found.low, 4), round(found.high, 4), round(loss, 4), round(seconds, 1),
            )
        )  # fmt: skip
        print(*out.rows[-1], file=sys.stderr, flush=True)
        out.figures[f"{method}_loss"] = round(loss, 4)
        if method == ours:
            out.figures |= {"bytes_ratio": round(made.ratio, 5), "stsb_loss": round(loss, 4)}
    out.notes += [
        f"bytes_ratio and stsb_loss are of {ours}; codes, codebooks and matrices count, the table counts as float32.",
        (
            f"Fitted without labels, to the rows of the table and to how often tokens come in {len(texts):,} "
            "descriptions of Debian packages; no text of STS-B was seen, and nothing was trained."
        ),
        "STS-B: Spearman correlation on the test split, 95 % bootstrap over pairs.",
    ]
    return out


def descriptions(most: int) -> list[str]:
    """What Debian packages say of themselves; none where the data set is not there."""
    folder = data("debian_packages")
    if folder is None:
        return []
    with gzip.open(folder / "packages.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = (json.loads(line) for line in islice(file, most))
        return [f"{row['summary']} {row['description']}" for row in rows]
