"""The default model with its token table in a fiftieth of its bytes, and depth 0 with n-grams: rank on STS-B."""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._judged import Pairs, cosine
from benchmarks.harness import Outcome, data
from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.metrics import spearman

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
    ngram_rows(out, pairs, {"STS-B train": unlabelled(folder), "Debian": texts}, quick=quick)
    out.notes += [
        f"bytes_ratio and stsb_loss are of {ours}; codes, codebooks and matrices count, the table counts as float32.",
        (
            f"Fitted without labels, to the rows of the table and to how often tokens come in {len(texts):,} "
            "descriptions of Debian packages; no text of STS-B was seen, and nothing was trained."
        ),
        "STS-B: Spearman correlation on the test split, 95 % bootstrap over pairs.",
    ]
    return out


def unlabelled(folder: Path) -> list[str]:
    """Sentences of the training split, each once, without their scores."""
    with gzip.open(folder / "en_train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return list(dict.fromkeys(text for row in rows for text in (row["s1"], row["s2"])))


def ngram_rows(out: Outcome, pairs: Pairs, sources: Mapping[str, list[str]], *, quick: bool) -> None:
    """Depth 0 alone, with a cache of n-grams, and with what the same fit gives without asking the model for them."""
    from nestvec.encoders import StaticEncoder, load
    from nestvec.tables.ngrams import NgramTable
    from nestvec.training.ngrams import cache_ngrams, find_grams, fit_rows

    static, whole, most = StaticEncoder.load(), load(), 2_000 if quick else 20_000
    plain = scores(static, pairs)
    out.rows.append(depth_row("depth 0", static.nbytes, pairs, plain, plain))
    for figure, (name, texts) in zip(("ngrams", "ngrams_other"), sources.items(), strict=True):
        with tempfile.TemporaryDirectory() as where:
            start = time.perf_counter()
            made = cache_ngrams("default", Path(where) / "n.grams", texts, most=most)
            seconds = time.perf_counter() - start
            with_them = static.with_ngrams(NgramTable.open(Path(where) / "n.grams"))
            found, speed = scores(with_them, pairs), texts_per_s(with_them, texts) / texts_per_s(static, texts)
        grams = find_grams(static, texts, most=most, longest=3, least=3)
        rows = fit_rows(static, grams, static.tokens.rows(grams.last), whole.encode(grams.texts).values)
        control = scores(static.with_ngrams(NgramTable.of(grams.ids, grams.lengths, rows, base=static.table)), pairs)
        label = f"depth 0, {len(made.table):,} n-grams of {name} ({made.coverage:.0%} of its tokens)"
        out.rows.append(depth_row(label, made.table.nbytes, pairs, found, plain, seconds))
        out.rows.append(depth_row("  control: from the last token's row alone", "", pairs, control, plain))
        out.figures |= {f"{figure}_texts_per_s_ratio": round(speed, 3)}
        for what, base in (("gain", plain), ("over_control", control)):
            numbers = zip(("", "_low", "_high"), gain(pairs, found, base), strict=True)
            out.figures |= {f"{figure}_{what}{end}": round(value, 4) for end, value in numbers}
    out.notes.append(
        "Rows of depth 0: loss is against depth 0, below zero for a gain; gain and over_control come with the 95 % "
        "bootstrap interval over the same pairs. The control is solved as the n-grams are, and is not told what the "
        "model says of them. Scores of the training split are not read."
    )


def depth_row(
    label: str, nbytes: int | str, pairs: Pairs, found: Array, plain: Array, seconds: float | None = None
) -> list[Any]:
    """One line of the table; loss is against the plain table."""
    interval, base = pairs.correlation(found), spearman(plain, pairs.scores)
    numbers = [round(x, 4) for x in (interval.mean, interval.low, interval.high, base - interval.mean)]
    return [label, nbytes, "", "", *numbers, "" if seconds is None else round(seconds, 1)]


def scores(encoder: Any, pairs: Pairs) -> Array:
    """Cosine of every pair."""
    return cosine(encoder.encode(pairs.first).values, encoder.encode(pairs.second).values)


def gain(pairs: Pairs, found: Array, base: Array) -> tuple[float, float, float]:
    """How much higher one correlation is, and where 95 % of 1,000 resamples of the pairs put that."""
    rng, differences = np.random.default_rng(0), []
    for _ in range(1000):
        at = rng.integers(0, len(base), len(base))
        differences.append(spearman(found[at], pairs.scores[at]) - spearman(base[at], pairs.scores[at]))
    low, high = np.quantile(differences, [0.025, 0.975])
    return spearman(found, pairs.scores) - spearman(base, pairs.scores), float(low), float(high)


def texts_per_s(encoder: Any, texts: list[str]) -> float:
    """The best of three."""
    found = []
    for _ in range(3):
        start = time.perf_counter()
        encoder.encode(texts)
        found.append(len(texts) / (time.perf_counter() - start))
    return max(found)


def descriptions(most: int) -> list[str]:
    """What Debian packages say of themselves; none where the data set is not there."""
    folder = data("debian_packages")
    if folder is None:
        return []
    with gzip.open(folder / "packages.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = (json.loads(line) for line in islice(file, most))
        return [f"{row['summary']} {row['description']}" for row in rows]
