"""An encoder that encodes each text once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nestvec.core import Record, Size, Space, Vectors
from nestvec.core.types import Array


@dataclass
class Remembering:
    """An encoder that encodes each text once."""

    inner: Any
    kept: dict[tuple[str, bool], Array] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        space: Space = self.inner.space
        return space

    @property
    def window(self) -> int:
        return int(self.inner.window)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        del size, instruction
        return self._all([r if isinstance(r, str) else r.full_text for r in records], query=False)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        del size, instruction
        return self._all(list(queries), query=True)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        raise NotImplementedError

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        found: list[int] = self.inner.count_tokens(texts)
        return found

    def _all(self, texts: list[str], *, query: bool) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if (text, query) not in self.kept]
        if new:
            made = self.inner.encode_query(new) if query else self.inner.encode(new)
            self.kept |= {(text, query): row for text, row in zip(new, made.values, strict=True)}
        rows = [self.kept[text, query] for text in texts]
        return Vectors(np.stack(rows) if rows else np.empty((0, self.space.dim), np.float32), self.space)
