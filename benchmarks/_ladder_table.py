"""The table of a ladder's quality for the documentation, from what the benchmark printed. No figure is typed by hand.

``python -m benchmarks ladder > RESULT; python -m benchmarks._ladder_table RESULT``
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.ladder import DEPTHS, MADE, SETS

Figures = Mapping[str, float | None]
_NAMES = {"stsb": "STS-B", "scifact": "SciFact", "cranfield": "Cranfield", "medline": "Medline"}


def main() -> None:
    """Read a result, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="what `python -m benchmarks ladder` printed")
    print(table(figures_of(parser.parse_args().result)))


def figures_of(path: Path) -> Figures:
    """Figures of the last line of what a benchmark printed.

    Raises:
        ValueError: it is not of the benchmark ladder.
    """
    said = json.loads(path.read_text(encoding="utf-8").strip().splitlines()[-1])
    if said.get("name") != "ladder":
        raise ValueError(f"{str(path)!r} must end in the JSON line of the benchmark ladder, got {said.get('name')!r}.")
    found: Figures = said["figures"]
    return found


def rung_figures(figures: Figures, depth: int) -> dict[str, float]:
    """What a ladder keeps of it for one rung: score, interval, and the full model's score."""
    found = {}
    for name in ("stsb", *SETS):
        for suffix, key in (
            ("", f"L{depth}_{name}"), (".low", f"L{depth}_{name}_low"), (".high", f"L{depth}_{name}_high"),
            (".full", f"full_{name}"),
        ):  # fmt: skip
            value = figures.get(key)
            if value is not None:
                found[f"{name}{suffix}"] = round(value, 4)
    return found


def table(figures: Figures) -> str:
    """Markdown: one line a depth and way, a column a set; a score with its interval, and what part of full it is."""
    names = ("stsb", *SETS)
    lines = [
        "| size | made | " + " | ".join(_NAMES[name] for name in names) + " |",
        "|---|---|" + "---|" * len(names),
        "| full | | " + " | ".join(_cell(figures, f"full_{name}", "", None) for name in names) + " |",
    ]
    for k in DEPTHS:
        for way, made in MADE.items():
            cells = [_cell(figures, f"L{k}_{name}", way, figures.get(f"full_{name}")) for name in names]
            if any(cell != "–" for cell in cells):
                lines.append(f"| L{k} | {made} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figures: Figures, key: str, way: str, full: float | None) -> str:
    value, low, high = (figures.get(f"{key}{way}{end}") for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return "–"
    part = "" if not full else f", {value / full:.0%}".replace("%", " %")
    return f"{value:.3f} ({low:.3f} to {high:.3f}){part}"


if __name__ == "__main__":
    main()
