"""A small encoder without torch, data of every kind, and systems that know the answers."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from nestvec.core import Record, Space, Vectors
from nestvec.evaluation.lexical import letters
from nestvec.evaluation.system import Model

ANIMALS = ("cat", "dog", "horse", "cow", "sheep", "goat")
TOOLS = ("hammer", "saw", "drill", "wrench", "pliers", "file")


@dataclass(frozen=True)
class Letters:
    """An encoder: hashed three-letter runs."""

    dim: int = 64

    @property
    def space(self):
        return Space(encoder=f"letters-{self.dim}", weights=f"letters-{self.dim}", pooling="mean", dim=self.dim)

    @property
    def window(self):
        return 10_000

    def encode(self, records: Iterable[Record | str], *, size=None, instruction=None) -> Vectors:
        texts = [r if isinstance(r, str) else r.full_text for r in records]
        values = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for run in letters(text):
                values[row, sum(ord(c) * 31**i for i, c in enumerate(run)) % self.dim] += 1
        return Vectors(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), self.space)

    def encode_query(self, queries: Iterable[str], *, size=None, instruction=None) -> Vectors:
        return self.encode(queries)

    def stream(self, records):
        yield list(records), self.encode(records)

    def count_tokens(self, texts: Sequence[str], /):
        return [len(text.split()) for text in texts]


@pytest.fixture
def model():
    return Model(Letters(), label="letters")


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path, head, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(map(str, row)) for row in (head, *rows)) + "\n", encoding="utf-8")
    return path


def beir(folder, *, documents=12, queries=6, grade=1):
    """A folder as BEIR lays it out: query ``i`` asks for document ``i``."""
    names = [*ANIMALS, *TOOLS][:documents]
    rows = [{"_id": f"d{i}", "title": "about", "text": f"all on the {name} {name}s"} for i, name in enumerate(names)]
    lines(folder / "corpus.jsonl", rows)
    lines(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"{names[i]} please"} for i in range(queries)])
    judged = [(f"q{i}", f"d{i}", grade) for i in range(queries)]
    table(folder / "qrels" / "test.tsv", ("query-id", "corpus-id", "score"), judged)
    return folder


def own_data(folder):
    """``{kind: path}``: a small task of every kind, readable without options."""
    pairs = [(f"a {x} eats", f"a {y} eats", 5.0 if x == y else float(abs(len(x) - len(y)) % 4)) for x in ANIMALS
             for y in ANIMALS[:3]]  # fmt: skip
    said = [(f"the {name} is here", kind) for kind, names in (("animal", ANIMALS), ("tool", TOOLS)) for name in names]
    train = [{"text": text, "label": label} for text, label in said]
    test = [{"text": text.replace("here", "there"), "label": label} for text, label in said]
    lines(folder / "classes" / "train.jsonl", train)
    lines(folder / "classes" / "test.jsonl", test)
    ranked = [{"query": f"a {x}", "positive": [f"the {x}"], "negative": [f"the {y}" for y in TOOLS]} for x in ANIMALS]
    words = ("car", "cars", "dog", "dogs", "cat", "cats")
    return {
        "retrieval": beir(folder / "beir"),
        "reranking": lines(folder / "rerank.jsonl", ranked),
        "sts": lines(folder / "sts.jsonl", [{"s1": a, "s2": b, "score": s} for a, b, s in pairs]),
        "pair_classification": table(
            folder / "pairs.tsv", ("s1", "s2", "label"), [(a, b, int(s == 5)) for a, b, s in pairs]
        ),
        "classification": folder / "classes",
        "clustering": lines(folder / "groups.jsonl", train),
        "bitext": table(folder / "bi.tsv", ("first", "second"), [(x, f"{x}o") for x in (*ANIMALS, *TOOLS)]),
        "zero_shot": lines(folder / "zero.jsonl", [{"text": f"an {k} {t}", "label": k} for t, k in said]),
        "word_similarity": table(folder / "ws.tsv", ("word1", "word2", "score"), [(a, b, s) for a, b, s in pairs]),
        "analogy": table(
            folder / "an.tsv", ("category", *"abcd"),
            [("plural", *words[i : i + 2], *words[j : j + 2]) for i in (0, 2, 4) for j in (0, 2, 4) if i != j],
        ),
    }  # fmt: skip


@pytest.fixture
def own(tmp_path):
    return own_data(tmp_path / "own")
