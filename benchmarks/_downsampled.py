"""Whether a quarter of the data puts many systems in the same order, and what that saves."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._remembering import Remembering
from nestvec.core import Record, Size, Space, Vectors
from nestvec.core.types import Matrix
from nestvec.encoders import load
from nestvec.evaluation import BASELINES, TASKS, Model, Preserved, RandomProjection, Suite, System, preserved

NAMES = ("scifact", "banking77", "clustering_tweet")
_DEPTHS = ("L0", "L1", "L3", "full")
_DIMS = (384, 64)


@dataclass(frozen=True)
class Shrunk:
    """An encoder of which the leading dimensions are kept, or the signs of all.

    Args:
        inner: the encoder.
        dim: how many dimensions.
        signs: keep one bit of each.
    """

    inner: Any
    dim: int
    signs: bool = False

    @property
    def space(self) -> Space:
        space: Space = self.inner.space
        told = f"{space.encoder}-d{self.dim}{'-sign' * self.signs}"
        return replace(space, encoder=told, weights=told, dim=self.dim)

    @property
    def window(self) -> int:
        return int(self.inner.window)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        del size, instruction
        return self._shrunk(self.inner.encode(records).values)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        del size, instruction
        return self._shrunk(self.inner.encode_query(queries).values)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        raise NotImplementedError

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        found: list[int] = self.inner.count_tokens(texts)
        return found

    def _shrunk(self, values: Matrix) -> Vectors:
        kept = values[:, : self.dim]
        return Vectors(np.where(kept > 0, np.float32(1), np.float32(-1)) if self.signs else kept, self.space)


def measure(folder: Path, *, quick: bool) -> tuple[list[Preserved], float]:
    """Every system on every task and on its smaller version; quick takes depth 0 and one task.

    Each run encodes a text once a depth, for all systems made of that depth, so that processor seconds of the whole and
    the smaller run compare like with like.

    Returns:
        What was preserved on each task, and the processor seconds that choosing documents took.
    """
    encoders = {depth: load("default", size=depth) for depth in (("L0",) if quick else _DEPTHS)}
    found, mining = [], 0.0
    for name in NAMES[:1] if quick else NAMES:
        results = []
        for task in (TASKS[name], TASKS[name].downsampled()):
            suite = Suite((task,), data=folder, baselines=(), trivial=False)
            begun = time.process_time()
            kind = suite.load()
            mining += time.process_time() - begun if task.downsampling else 0.0
            able = [one for one in _systems(encoders, quick=quick) if isinstance(one, kind[task.name].needs)]
            results.append(list(suite.run(able, loaded=kind)))
        found.append(preserved(*results))
        print(f"{name} down-sampled: {found[-1]}", file=sys.stderr, flush=True)
    return found, mining


def _systems(encoders: Mapping[str, Any], *, quick: bool) -> list[System]:
    systems: list[System] = [*BASELINES, RandomProjection(dim=1024, seed=1)]
    for depth, encoder in encoders.items():
        shared = Remembering(encoder)
        dims = (384, 192, 96, 48, 24) if quick else _DIMS
        systems += [Model(Shrunk(shared, dim), label=f"{depth}-d{dim}") for dim in dims]
        systems.append(Model(Shrunk(shared, 384, signs=True), label=f"{depth}-sign"))
    return systems
