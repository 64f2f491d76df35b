"""An encoder that needs no model: words hashed to directions, so that texts that share words are near."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
import xxhash

from nestvec.core import Record, Size, Space, Vectors


class WordEncoder:
    """Sums one random direction a word. Counts what it encoded, so that tests see what was not encoded again."""

    def __init__(self, *, dim: int = 32, window: int = 40, name: str = "words", salt: int = 0) -> None:
        self.space = Space(name, weights=f"salt-{salt}", pooling="sum", dim=dim)
        self.window = window
        self.encoded: list[str] = []
        self._salt = salt

    def _vector(self, text: str) -> np.ndarray:
        total = np.zeros(self.space.dim)
        for word in text.casefold().split():
            seed = xxhash.xxh3_64_intdigest(word.strip(".,!?").encode("utf-8", "replace"), seed=self._salt)
            total += np.random.default_rng(seed).normal(size=self.space.dim)
        length = np.linalg.norm(total)
        return (total / length if length else np.eye(self.space.dim)[0]).astype(np.float32)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        texts = [r if isinstance(r, str) else r.full_text for r in records]
        self.encoded += texts
        rows = [self._vector(text) for text in texts]
        return Vectors(np.array(rows, np.float32).reshape(len(rows), self.space.dim), self.space)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        rows = [self._vector(text) for text in queries]
        return Vectors(np.array(rows, np.float32).reshape(len(rows), self.space.dim), self.space)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        for record in records:
            whole = record if isinstance(record, Record) else Record("text", record)
            yield [whole], self.encode([whole])

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        return [len(text.split()) for text in texts]


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def make_encoder() -> type[WordEncoder]:
    return WordEncoder
