"""Several vectors a record: what they find, what they cost, and how few candidates they can be found through."""

from __future__ import annotations

import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks import _judged, retrieval
from benchmarks.harness import Outcome, data
from nestvec import Collection, Record, Vectors
from nestvec.codecs import CODECS
from nestvec.core.types import Array
from nestvec.core.vectors import MultiVectors
from nestvec.encoders import load
from nestvec.kernels.maxsim import maxsim
from nestvec.kernels.proxy import ProxyRecall
from nestvec.metrics import bootstrap_mean, judge, ndcg, recall
from nestvec.reducers.cluster import pool
from nestvec.reducers.fde import FDE
from nestvec.search.late import living, maxsim_of

SETS = ("scifact", "cranfield", "limit_small")
KEYS = (
    "limit_small_recall2", "fused_limit_recall2", "fde200_recall", "single200_recall", "pq_loss",
    "k8_63k_disk_mb", "k8_63k_p50_ms", "k8_63k_recall10",
)  # fmt: skip
_CLUSTERS = (4, 8, 16, 32)
_CANDIDATES = (50, 100, 200, 800)
_DEPTH = {"limit_small": 2}  # of recall; 10 for the others
_TEXTS, _QUICK_TEXTS, _ASKED = 63_000, 800, 100
_CODEWORDS = 256  # of a part of a product code, which cannot be fitted on fewer documents
_LETTERS = 300  # of a description


def run(*, quick: bool) -> Outcome:
    """Three judged collections, and descriptions of Debian packages, with the default model."""
    columns = ("set", "what", "nDCG@10", "low", "high", "recall", "of exact 10", "bytes", "ms a query")
    out = Outcome(dict.fromkeys(KEYS), columns)
    encoder = load("default")
    for name in SETS:
        judged = _judged.collection(name, quick=quick)
        if judged is None:
            out.notes.append(f"{name} is not there; set NESTVEC_DATA")
            continue
        Bench(out, name, judged, encoder).run()
    packages(out, encoder, quick=quick)
    for key in KEYS:
        if out.figures[key] is None:
            out.missing.setdefault(key, "its data set is not there")
    out.notes.append(
        "recall: at 2 for limit_small, at 10 for the others. of exact 10: share of the ten best by MaxSim over all "
        "tokens that are among the candidates. bytes: a document, in memory or as stored."
    )
    out.notes.append("fde: MUVERA with 10,240 dimensions; pq of fde: in 1,280 bytes; single: the vector of the text.")
    return out


@dataclass(eq=False)
class Bench:
    """One judged collection, each way there is."""

    out: Outcome
    name: str
    judged: retrieval.Judged
    encoder: Any
    ndcg: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Encode, then every way."""
        late = self.encoder.at("vall")
        texts = [record.full_text for record in self.judged.documents]
        self.tokens, self.queries = late.encode(texts), late.encode_query(self.judged.queries)
        single = self.encoder.encode(texts).values
        asked = self.encoder.encode_query(self.judged.queries).values
        self.cheap = asked @ single.T
        self.tell("single vector", self.cheap, 4 * single.shape[1], lambda i: asked[i] @ single.T)
        self.exact = self.scores(self.tokens)
        key = self.tell("all tokens", self.exact, self.size(self.tokens), lambda i: self.one(self.tokens, i))
        for k in _CLUSTERS:
            values, offsets = pool(self.tokens.values, self.tokens.offsets, k=k)
            few = MultiVectors(_judged.unit(values), offsets, self.tokens.space)
            self.tell(f"{k} clusters", self.scores(few), self.size(few), lambda i, few=few: self.one(few, i))
        self.through_candidates()
        if self.name == "limit_small":
            self.out.figures["limit_small_recall2"] = key
            fused = rank_fusion([self.exact, lexical(self.judged)])
            self.out.figures["fused_limit_recall2"] = self.tell("all tokens and BM25, ranks fused", fused, 0, None)

    def through_candidates(self) -> None:
        """Candidates by one long vector, then MaxSim over all tokens."""
        fde = FDE.fit(self.tokens.values[:1], shape="10240")
        documents = fde.documents(self.tokens.values, self.tokens.offsets)
        queries = fde.queries(self.queries.values, self.queries.offsets)
        ways = {
            "fde": (queries @ documents.T, 4 * fde.dim),
            "single": (self.cheap, 4 * self.tokens.values.shape[1]),
        }
        if len(documents) >= _CODEWORDS:
            coder = CODECS["pq@1"].fit(documents, parts=fde.dim // 8)
            ways["pq of fde"] = (coder.scores(queries, coder.encode(documents)), coder.bytes_per_vector)
        for way, (cheap, size) in ways.items():
            found = ProxyRecall.measure(self.exact, cheap)
            for m in _CANDIDATES:
                what, scores = f"{way}, best {m} rescored", among(cheap, self.exact, m)
                self.tell(what, scores, size, None, found.at(m))
            if self.name == "scifact" and way in ("fde", "single"):
                self.out.figures[f"{way}200_recall"] = found.at(200)
        if self.name == "scifact":
            ours, theirs = (self.ndcg[f"{way}, best 200 rescored"] for way in ("pq of fde", "fde"))
            self.out.figures["pq_loss"] = (theirs - ours) / theirs

    def tell(self, what: str, scores: Array, size: float, one: Any, found: float | None = None) -> float:
        """A row of the table; returns recall."""
        ids = [record.id for record in self.judged.documents]
        best = np.argsort(-scores, axis=1, kind="stable")
        depth = _DEPTH.get(self.name, 10)
        ranked = judge([[ids[i] for i in row[:10]] for row in best], self.judged.judgements, k=10)
        shallow = judge([[ids[i] for i in row[:depth]] for row in best], self.judged.judgements, k=depth)
        value, share = bootstrap_mean(ndcg(*ranked)), float(recall(*shallow).mean())
        self.ndcg[what] = value.mean
        taken = [timed(one, i) for i in range(min(len(scores), 50))] if one else []
        ms = 1000 * statistics.median(taken) if taken else ""
        of_exact = "" if found is None else found
        self.out.rows.append((self.name, what, value.mean, value.low, value.high, share, of_exact, size, ms))
        return share

    def scores(self, tokens: MultiVectors) -> Array:
        """MaxSim of every query with every document."""
        return np.stack([self.one(tokens, i) for i in range(len(self.queries))])

    def one(self, tokens: MultiVectors, i: int) -> Array:
        """MaxSim of one query with every document."""
        return maxsim(self.queries[i], tokens.values, tokens.offsets)

    def size(self, tokens: MultiVectors) -> float:
        """Bytes a document in float32."""
        return 4 * tokens.values.size / len(tokens)


def among(cheap: Array, exact: Array, m: int) -> Array:
    """The exact scores of the ``m`` best by the cheap ones; ``-inf`` for all others."""
    best = np.argsort(-cheap, axis=1, kind="stable")[:, :m]
    out = np.full_like(exact, -np.inf)
    np.put_along_axis(out, best, np.take_along_axis(exact, best, axis=1), axis=1)
    return out


def rank_fusion(found: Sequence[Array]) -> Array:
    """``sum 1 / (60 + rank)`` over systems. Source: Cormack et al. 2009, doi:10.1145/1571941.1572114."""
    ranks = [np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) for scores in found]
    fused: Array = np.sum([1 / (61 + rank) for rank in ranks], axis=0)
    return fused


def lexical(judged: retrieval.Judged) -> Array:
    """BM25 scores as a collection gives them; 0 where a document shares no word."""
    place = {record.id: i for i, record in enumerate(judged.documents)}
    with tempfile.TemporaryDirectory() as folder:
        space = load("default").space
        with Collection.create(Path(folder) / "c", encoder=None, space=space) as collection:
            none = Vectors(np.zeros((len(judged.documents), space.dim), np.float32), space)
            collection.add(judged.documents, vectors=none)
            rows = collection.search_many(judged.queries, len(place), mode="lexical")
    out = np.zeros((len(judged.queries), len(place)))
    for i, row in enumerate(rows):
        for result in row:
            out[i, place[result.id]] = result.score
    return out


def timed(one: Any, i: int) -> float:
    """Seconds."""
    start = time.perf_counter()
    one(i)
    return time.perf_counter() - start


def packages(out: Outcome, encoder: Any, *, quick: bool) -> None:
    """Descriptions with eight vectors each in a collection: disk, milliseconds, and what candidates lose."""
    folder = data("debian_packages")
    if folder is None:
        return
    records = list(descriptions(folder, _QUICK_TEXTS if quick else _TEXTS))
    asked = [record.title for record in records[:: max(1, len(records) // _ASKED)]]
    with tempfile.TemporaryDirectory() as place:
        with Collection.create(Path(place) / "c", encoder=encoder, size="v8", budget=0) as collection:
            start = time.perf_counter()
            collection.add(records)
            seconds = time.perf_counter() - start
            collection.compact()
        with Collection.open(Path(place) / "c", encoder=encoder) as collection:
            queries = encoder.at("vall").encode_query(asked)
            found = [each(queries, i) for i in range(len(asked))]
            hits = [collection.find(query, 10).ids[0] for query in found]  # the first time reads everything
            taken = [timed(lambda i: collection.find(found[i], 10), i) for i in range(len(found))]
            whole = [timed(lambda i: collection.search(asked[i]), i) for i in range(len(found))]
            exact = [exhaustive(collection, query) for query in found]
            info = collection.info()
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(hits, exact, strict=True)]
    ms = 1000 * statistics.median(taken)
    out.figures |= {
        "k8_63k_disk_mb": round(cast(int, info["bytes"]) / 1e6, 1),
        "k8_63k_p50_ms": round(ms, 2),
        "k8_63k_recall10": round(float(np.mean(shares)), 4),
    }
    out.rows.append(("debian", "8 clusters in a collection", "", "", "", "", float(np.mean(shares)), "", ms))
    told = cast("dict[str, Any]", info["several"])["candidates"]
    out.notes.append(
        f"debian: {len(records):,} descriptions, {len(records) / seconds:.0f} a second added; p50 with the encoding of "
        f"the query {1000 * statistics.median(whole):.1f} ms; candidates {told}"
    )


def descriptions(folder: Path, most: int) -> Iterator[Record]:
    """Packages with different descriptions; the summary is the title."""
    seen: set[str] = set()
    with gzip.open(folder / "packages.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            text = row["description"][:_LETTERS]
            if text and text not in seen and len(seen) < most:
                seen.add(text)
                yield Record(str(len(seen)), text, {}, title=row["summary"])


def each(queries: MultiVectors, i: int) -> MultiVectors:
    """One of several queries."""
    own = queries[i]
    return MultiVectors(own, np.array([0, len(own)], np.int64), queries.space)


def exhaustive(collection: Collection, query: MultiVectors) -> list[int]:
    """The ten best rows by MaxSim over what is kept, every row compared."""
    several = collection.settings.several
    assert several is not None  # it was made so
    with collection._store.read() as snapshot:  # noqa: SLF001  # what no search does
        rows = living(snapshot)
        scores = maxsim_of(snapshot, several, query[0], rows)
    best = np.lexsort((rows, -scores))[:10]
    return [int(row) for row in rows[best]]
