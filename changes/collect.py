"""Fold the fragments of this folder into the change log: ``python changes/collect.py 0.2.0 2027-01-31``.

A fragment is a file ``ISSUE.KIND.md``, or ``ISSUE.KIND.N.md`` for a second one of the same kind; its text is one
entry. The fragments of a release become one section above the earlier ones, and are removed.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

KINDS = ("added", "changed", "fixed", "deprecated", "removed", "security")
NAME = re.compile(rf"(?P<issue>\d+)\.(?P<kind>{'|'.join(KINDS)})(?:\.(?P<number>\d+))?\.md")
MARK = "<!-- releases -->"


def fragments(folder: Path) -> dict[str, list[Path]]:
    """The fragments in ``folder`` by kind, in the order of :data:`KINDS` and then of their issues.

    Raises:
        ValueError: a Markdown file has another name, or says nothing.
    """
    found: dict[str, list[tuple[int, int, Path]]] = {kind: [] for kind in KINDS}
    for path in folder.glob("*.md"):
        name = NAME.fullmatch(path.name)
        if name is None:
            raise ValueError(f"a fragment must be named like 12.added.md, with one of {KINDS}, got {path.name!r}.")
        if not path.read_text(encoding="utf-8").strip():
            raise ValueError(f"a fragment must say something, got an empty {path.name!r}.")
        found[name["kind"]].append((int(name["issue"]), int(name["number"] or 0), path))
    return {kind: [path for *_, path in sorted(entries)] for kind, entries in found.items() if entries}


def section(version: str, date: str, found: dict[str, list[Path]]) -> str:
    """The text of one release."""
    lines = [f"## {version} ({date})"]
    for kind, paths in found.items():
        lines += ["", f"### {kind.capitalize()}", ""]
        for path in paths:
            first, *rest = path.read_text(encoding="utf-8").strip().splitlines()
            issue = path.name.partition(".")[0]
            lines += [f"- {first}", *(f"  {line}".rstrip() for line in rest)]
            lines[-1] += f" (#{issue})"
    return "\n".join(lines) + "\n"


def collect(folder: Path, log: Path, *, version: str, date: str) -> None:
    """Write the fragments of ``folder`` into ``log`` and remove them.

    Raises:
        ValueError: there is none, one is malformed, the version is there already, or the log has no mark.
    """
    found = fragments(folder)
    text = log.read_text(encoding="utf-8")
    if not found:
        raise ValueError(f"there must be a fragment to release, got none in {folder}.")
    if text.count(MARK) != 1:
        raise ValueError(f"{log.name} must hold the line {MARK} once, got {text.count(MARK)}.")
    if re.search(rf"^## {re.escape(version)} \(", text, re.MULTILINE):
        raise ValueError(f"a version can be released once, got {version!r} again.")
    log.write_text(text.replace(MARK, f"{MARK}\n\n{section(version, date, found).rstrip()}"), encoding="utf-8")
    for path in (path for paths in found.values() for path in paths):
        path.unlink()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("date", help="of the release, as 2027-01-31")
    asked = parser.parse_args()
    here = Path(__file__).parent
    collect(here, here.parent / "CHANGELOG.md", version=asked.version, date=asked.date)


if __name__ == "__main__":
    main()
