"""HTML: one document a file, its text with headings marked as in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from nestvec.core import Record
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.report import Reason

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_NEVER = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object"})
_NOISE = _NEVER | {"nav", "footer", "aside", "form", "button", "select", "menu"}
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "figcaption", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
    "section", "summary", "table", "tr", "ul",
})  # fmt: skip
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}


def read_html(incoming: Incoming) -> Iterator[Record]:
    """One record. Title: ``<title>``, else the first ``<h1>``. Scripts, styles, navigation and forms are left out.

    Raises:
        UnreadableError: see :meth:`Incoming.text`; or there is no text in the page, or the parser gave up.
    """
    declared = ""
    if found := _CHARSET.search(incoming.data()[:4096]):
        declared = _known(found[1].decode("ascii"))
    source = incoming.text(encoding=declared)
    page = _parse(source, _NOISE)
    if page.inside:  # a <nav> that is never closed would have swallowed the rest of the page
        page = _parse(source, _NEVER)
    text = page.text()
    if not text:
        raise UnreadableError(Reason.NO_TEXT, "no text outside scripts, navigation and forms")
    title = " ".join("".join(page.title).split()) or " ".join("".join(page.first_heading).split())
    yield Record(incoming.name, text, metadata={"source": incoming.source}, title=title)


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError:  # a page may declare anything
        return ""
    # what a page in ASCII bytes calls UTF-16 is not (a real one has a byte-order mark); so says the HTML standard
    return "" if encoding.lower().startswith(("utf-16", "utf-32")) else encoding


def _parse(source: str, drop: frozenset[str]) -> _Page:
    page = _Page(drop)
    try:
        page.feed(source)
        page.close()
    except AssertionError as cause:  # how html.parser says that a declaration made no sense to it
        raise UnreadableError(Reason.DAMAGED, f"HTML: {cause}") from cause
    return page


class _Page(HTMLParser):
    """Collects text as events arrive; ``inside`` names the dropped elements that are open."""

    def __init__(self, drop: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.drop = drop
        self.inside: list[str] = []
        self.out: list[str] = []
        self.title: list[str] = []
        self.first_heading: list[str] = []
        self.tag = ""  # the open title or heading
        self.pre = 0
        self.headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in self.drop:
            self.inside.append(tag)
        if self.inside:
            return
        if tag in _BLOCKS:
            self.out.append("\n" if tag in ("li", "tr", "dt", "dd") else "\n\n")
        if tag in _HEADINGS:
            self.out.append(_HEADINGS[tag])
            self.headings += tag == "h1"
            self.tag = tag
        elif tag == "title" and not self.title:
            self.tag = tag
        elif tag == "li":
            self.out.append("- ")
        elif tag == "br":
            self.out.append("\n")
        elif tag == "pre":
            self.pre += 1
        elif tag in ("td", "th"):
            self.out.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:  # an element that was not closed ends with the one around it
                pass
            return
        if self.inside:
            return
        if tag == self.tag:
            self.tag = ""
        if tag == "pre":
            self.pre = max(0, self.pre - 1)
        if tag in _BLOCKS and tag not in ("li", "tr", "dt", "dd"):
            self.out.append("\n\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.drop:  # <svg/> opens nothing
            self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.inside:
            return
        if self.tag == "title":
            self.title.append(data)
            return
        if self.tag in _HEADINGS:
            data = re.sub(r"\s+", " ", data)
            if self.tag == "h1" and self.headings == 1:
                self.first_heading.append(data)
        # inside <pre> line ends count; outside, a run of white space is one space
        self.out.append(data if self.pre else re.sub(r"\s+", " ", data))

    def text(self) -> str:
        """The text, with at most one blank line between blocks and no white space at line ends."""
        text = re.sub(r"[ \t\u00a0]+\n", "\n", "".join(self.out))
        text = re.sub(r"\n{3,}", "\n\n", re.sub(r"\n (?=\S)", "\n", text))
        text = re.sub(r"^#{1,6} ?$\n?", "", text, flags=re.MULTILINE)  # headings that held only an image
        return text.strip("\n").strip()
