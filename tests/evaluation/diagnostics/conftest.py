"""A little encoder and a little collection for diagnostics."""

import numpy as np
import pytest
import xxhash

from nestvec.core import Space, Vectors
from nestvec.search import Collection

DIM = 32
TOPICS = (
    ("harbour", "boat", "sail", "tide", "anchor"),
    ("oven", "bread", "flour", "yeast", "crust"),
    ("violin", "string", "bow", "concert", "hall"),
    ("engine", "piston", "valve", "road", "tyre"),
    ("garden", "tulip", "seed", "soil", "rain"),
)
WORDS = [word for topic in TOPICS for word in topic]


class Bag:
    """Sums a fixed random vector for each word that it reads: an encoder with a window, and no library."""

    def __init__(self, window=512, dim=DIM, deaf=()):
        self.deaf = frozenset(deaf)  # words that weigh nothing
        self.space = Space("bag", "w", "mean", dim)
        self.window = window

    def _vector(self, text):
        words = text.casefold().replace(".", " ").replace("?", " ").split()[: self.window]
        seeds = [xxhash.xxh32_intdigest(word.encode()) for word in words if word not in self.deaf]
        total = sum(
            (np.random.default_rng(seed).standard_normal(self.space.dim) for seed in seeds), np.zeros(self.space.dim)
        )
        return total / max(np.linalg.norm(total), 1e-9)

    def encode(self, records, *, size=None, instruction=None):
        texts = [r if isinstance(r, str) else r.full_text for r in records]
        return Vectors(np.array([self._vector(t) for t in texts], np.float32).reshape(-1, self.space.dim), self.space)

    encode_query = encode

    def stream(self, records):
        records = list(records)
        yield records, self.encode(records)

    def count_tokens(self, texts, /):
        return [len(text.split()) for text in texts]


@pytest.fixture(scope="session")
def bag():
    return Bag()


@pytest.fixture(scope="session")
def texts():
    """Four hundred texts about five things."""
    rng = np.random.default_rng(0)
    out = []
    for i in range(400):
        topic = TOPICS[i % 5]
        out.append(" ".join(rng.choice(topic if rng.random() < 0.8 else WORDS) for _ in range(rng.integers(4, 40))))
    return out


@pytest.fixture(scope="session")
def collection(tmp_path_factory, bag, texts):
    """The folder of a collection of these texts."""
    path = tmp_path_factory.mktemp("diagnostics") / "texts.nest"
    with Collection.create(path, encoder=None, space=bag.space) as made:
        rows = [{"id": f"t{i:03d}", "text": text, "topic": str(i % 5)} for i, text in enumerate(texts)]
        made.add(rows, vectors=bag.encode(texts))
    return path
