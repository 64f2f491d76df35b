"""One page about the way of a text: its series, its turns, and the picture of all pairs."""

from __future__ import annotations

from collections.abc import Sequence

from nestvec import __version__
from nestvec.apps.explore.curves import drawing
from nestvec.apps.explore.grey import image
from nestvec.apps.explore.page import Table, figure, heading, page, paragraph, section
from nestvec.evaluation.diagnostics import Agreement, Trajectory

_SMOOTH = 9  # joints averaged for the eye; single sentences jump
_BEGINNING = 90  # characters of a text by which people find it


def write(title: str, texts: Sequence[str], found: Sequence[Trajectory], agreed: Sequence[Agreement]) -> str:
    """The page.

    Args:
        title: of the text.
        texts: in order.
        found: one a model.
        agreed: one a pair of models.
    """
    sections = [_series(found)]
    sections += [_one(texts, one) for one in found]
    if agreed:
        sections.append(section("Two models", *(_pair(one) for one in agreed)))
    return page(title, f"{len(texts):,} texts, nestvec {__version__}", sections)


def beginning(text: str, most: int = _BEGINNING) -> str:
    """Enough of a text to find it by, ``most`` characters of it."""
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def _series(found: Sequence[Trajectory]) -> str:
    smooth = {one.name: _smoothed(one) for one in found}
    novel = {one.name: [(i + 1.5, float(v)) for i, v in enumerate(one.novelty)] for one in found}
    marks = [one.start + 0.5 for one in found[0].boundaries]
    return section(
        "From text to text",
        figure(
            drawing(smooth, x="text", y="similarity of neighbours", marks=marks),
            f"Cosine of each text and the next, mean of {_SMOOTH}. Dashed: boundaries by {found[0].name}.",
        ),
        figure(
            drawing(novel, x="text", y="novelty", marks=marks),
            f"Novelty: how far the {found[0].width} texts after each joint lie from those before it.",
        ),
    )


def _smoothed(one: Trajectory) -> list[tuple[float, float]]:
    half, series = _SMOOTH // 2, one.successive
    return [(i + 1.5, float(series[max(0, i - half) : i + half + 1].mean())) for i in range(len(series))]


def _one(texts: Sequence[str], one: Trajectory) -> str:
    by_start = {boundary.start: boundary for boundary in one.boundaries}
    rows = []
    for first, end in one.segments:
        turn = by_start.get(first)
        told = ("", "") if turn is None else (f"{turn.novelty:.3f}", f"{turn.p:.3f}")
        rows.append((beginning(texts[first]), f"{first + 1} to {end}", *told))
    table = Table(("begins with", "texts", "novelty", "p"), rows, wrapped=True)
    picture = image(one.similarity, alt="similarity of all pairs of texts")
    return section(
        one.name,
        table.html(),
        figure(picture, "Similarity of all pairs, the first text at the top left; white is alike."),
    )


def _pair(one: Agreement) -> str:
    rows = [(figure.name, str(figure)) for figure in one.figures]
    return (
        heading(f"{one.first} and {one.second}")
        + Table(("", ""), rows, text=frozenset({1})).html()
        + paragraph("Correlations are Spearman's.", "soft")
    )
