"""What the vectors of a student look like while it learns: their rank, alignment and uniformity on held-out texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from nestvec.core.types import JSON, Array
from nestvec.metrics.spectrum import rankme
from nestvec.metrics.uniformity import alignment, uniformity

_PAIRS = 50_000  # of texts, for uniformity: it then wanders by less than .01 with the draw


@dataclass(frozen=True)
class Geometry:
    """Three figures of a cloud of vectors that need no labels.

    Args:
        rank: RankMe: how many directions are used. It rises with the number of texts, so compare it within a run.
        alignment: mean squared distance of a short query and the text that it was cut from, on the sphere; lower is
            closer.
        uniformity: how evenly the texts cover the sphere; lower is more even.

    Source: Garrido et al. 2023 (arXiv:2210.02885); Wang and Isola 2020 (arXiv:2005.10242).
    """

    rank: float
    alignment: float
    uniformity: float

    @classmethod
    def of(cls, queries: Array, texts: Array, own: Array) -> Geometry:
        """Measure vectors.

        Args:
            queries: ``[q, d]``.
            texts: ``[n, d]``.
            own: ``[q]`` which text each query was cut from.
        """
        close = float(alignment(queries, texts[own]).mean())
        return cls(rankme(texts), close, uniformity(texts, pairs=_PAIRS))


FIGURES = tuple(field.name for field in fields(Geometry))
"""Names of the figures, in the order in which they are told."""


def row_of(step: int, kept: Mapping[str, float], seen: Mapping[str, Geometry]) -> dict[str, float]:
    """One row of the curve of a run: ``{"step", "L3", "L3 rank", "L3 alignment", "L3 uniformity", …}``.

    Args:
        step: of training.
        kept: part of the full model's neighbours that each size keeps.
        seen: its geometry.
    """
    row = {"step": float(step)}
    for name, value in kept.items():
        row[name] = value
        row |= {f"{name} {figure}": getattr(seen[name], figure) for figure in FIGURES}
    return row


@dataclass(frozen=True)
class Course:
    """What was seen of every size from the first step to the last.

    Args:
        rows: as :func:`row_of` makes them, by rising steps.
        full: the geometry of the full model on the same texts.
    """

    rows: tuple[Mapping[str, float], ...]
    full: Geometry

    @property
    def sizes(self) -> tuple[str, ...]:
        """Names of the sizes, as they were reported."""
        return tuple(name for name in (self.rows[0] if self.rows else ()) if name != "step" and " " not in name)

    def series(self, size: str, figure: str = "") -> tuple[tuple[float, float], ...]:
        """``(step, value)`` of a figure of :data:`FIGURES`; of the neighbours kept, where none is named."""
        name = f"{size} {figure}" if figure else size
        return tuple((row["step"], row[name]) for row in self.rows if name in row)

    def lines(self, sizes: Sequence[str] | None = None) -> list[str]:
        """One line a size for people; by default for those of full width.

        The step at which the rank was highest parts a fine-tuning in the two phases of that paper.

        Source: Jung et al. 2024 (arXiv:2405.11297).
        """
        wanted = [name for name in self.sizes if "-" not in name] if sizes is None else sizes
        return [self._line(name) for name in wanted] if len(self.rows) > 1 else []

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return {"rows": [dict(row) for row in self.rows], "full": {name: getattr(self.full, name) for name in FIGURES}}

    def _line(self, size: str) -> str:
        rank = self.series(size, "rank")
        step, top = max(rank, key=lambda point: point[1])
        when = "at the start" if step == rank[0][0] else "at the end" if step == rank[-1][0] else f"at step {step:.0f}"
        told = [f"rank {rank[0][1]:.1f} to {rank[-1][1]:.1f} (highest {top:.1f} {when}; full {self.full.rank:.1f})"]
        for figure in FIGURES[1:]:
            values = self.series(size, figure)
            told.append(f"{figure} {values[0][1]:.3f} to {values[-1][1]:.3f} ({getattr(self.full, figure):.3f})")
        return f"{size}: {', '.join(told)}."
