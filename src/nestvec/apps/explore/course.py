"""One page about a fit: what its sizes kept, and how their vectors spread, from the first step to the last."""

from __future__ import annotations

from nestvec import __version__
from nestvec.apps.explore.curves import drawing
from nestvec.apps.explore.page import figure, page, paragraph, section
from nestvec.training.monitor import Course

_TOLD = {
    "": ("Kept neighbours", "Part of the full model's ten nearest held-out texts that each size keeps."),
    "rank": ("Representation rank", "RankMe of the held-out texts: how many directions their vectors use."),
    "alignment": ("Alignment", "Mean squared distance of a query and the text it was cut from; lower is closer."),
    "uniformity": ("Uniformity", "How evenly held-out texts cover the sphere; lower is more even."),
}


def write(course: Course, title: str) -> str:
    """The page; sizes of full width only.

    Args:
        course: what was seen.
        title: of the page.
    """
    sizes = [name for name in course.sizes if "-" not in name]
    sections = []
    for name, (head, caption) in _TOLD.items():
        lines = {size: course.series(size, name) for size in sizes}
        if name:
            ends = [lines[sizes[0]][0][0], lines[sizes[0]][-1][0]]
            lines["full model"] = tuple((step, getattr(course.full, name)) for step in ends)
        sections.append(section(head, figure(drawing(lines, x="step", y=head), caption)))
    sections += [paragraph(line) for line in course.lines()]
    return page(title, f"nestvec {__version__}", sections)
