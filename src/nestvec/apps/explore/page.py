"""A page in one file: text, tables and drawings, readable in light, in the dark, and on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1d232b; --soft: #5b6672; --line: #d9dee4; --back: #ffffff; --wash: #f4f6f8;
  --point: #b4bcc6; --front: #2b6cb0; --chosen: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ec; --soft: #9aa5b1; --line: #37404b; --back: #15191e;
  --wash: #1d232a; --point: #4b5662; --front: #63a4e6; --chosen: #fb923c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .5rem 0; max-width: 44rem; }
p.lead { font-size: 1.08rem; }
p.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; margin: .75rem 0; }
th, td { padding: .3rem .75rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td:last-child, th:last-child { padding-right: 0; }
table.wrapped td:first-child { white-space: normal; max-width: 44rem; }
tr.chosen td { color: var(--chosen); font-weight: 600; }
caption { text-align: left; padding-bottom: .4rem; }
summary { cursor: pointer; color: var(--soft); margin: 1rem 0 .5rem; }
pre { background: var(--wash); padding: .75rem 1rem; overflow-x: auto; font-size: .8rem; border-radius: .3rem; }
code { font-size: .92em; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } figure, table, h2 { break-inside: avoid; }
  h2, h3 { break-after: avoid; } details > summary { list-style: none; } }
"""


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first column names.

    Args:
        columns: heads.
        rows: cells as text.
        caption: above it; may be empty.
        marked: position of the row to be seen first, if any.
        text: positions of columns, beside the first, that hold words.
        wrapped: whether long words of the first column go on in the next line.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    marked: int | None = None
    text: frozenset[int] = frozenset()
    wrapped: bool = False

    def html(self) -> str:
        """As HTML, everything escaped."""
        kinds = [' class="text"' if i in self.text else "" for i in range(len(self.columns))]
        head = (
            ""
            if not any(self.columns)
            else "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, self.columns, strict=True))
        )
        body = "".join(
            ('<tr class="chosen">' if at == self.marked else "<tr>")
            + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
            + "</tr>\n"
            for at, row in enumerate(self.rows)
        )
        head = f"<thead><tr>{head}</tr></thead>" if head else ""
        wrap = ' class="wrapped"' if self.wrapped else ""
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return f'<div class="wide"><table{wrap}>{caption}{head}<tbody>\n{body}</tbody></table></div>\n'


def page(title: str, under: str, sections: Iterable[str]) -> str:
    """The whole file.

    Args:
        title: of the page.
        under: a line below it.
        sections: HTML, as the functions here make it.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f'<p class="soft">{escape(under)}</p>\n{"".join(sections)}</body>\n</html>\n'
    )


def section(title: str, *parts: str) -> str:
    """A heading with what stands below it."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(parts)}</section>\n"


def heading(title: str) -> str:
    """A smaller heading."""
    return f"<h3>{escape(title)}</h3>\n"


def paragraph(text: str, kind: str = "") -> str:
    """Text, escaped; ``lead`` or ``soft`` as its kind."""
    return (f'<p class="{kind}">' if kind else "<p>") + f"{escape(text)}</p>\n"


def figure(drawing: str, caption: str) -> str:
    """A drawing in SVG, and what it shows."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>\n"


def folded(summary: str, inside: str) -> str:
    """What is there when it is looked for."""
    return f"<details><summary>{escape(summary)}</summary>\n{inside}</details>\n"


def preformatted(text: str) -> str:
    """Text as it is."""
    return f"<pre>{escape(text)}</pre>\n"
