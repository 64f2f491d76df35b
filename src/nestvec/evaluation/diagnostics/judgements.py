"""Reading who finds what relevant, for diagnostics that need nothing else."""

from __future__ import annotations

from pathlib import Path

from nestvec.core.errors import InputError


def read_judgements(path: Path) -> dict[str, set[str]]:
    """The relevant items of each query, from three columns (query, item, gain) or TREC's four.

    Columns are separated by tabs, or by blanks where a line has none. A first line whose gain is no number is a header.
    Gains above 0 are relevant; queries without any are left out.

    Raises:
        InputError: a line is malformed, or nothing is relevant.
        OSError: the file cannot be read.
    """
    found: dict[str, set[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        columns = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        try:
            query, item, gain = (columns[0], columns[2], columns[3]) if len(columns) == 4 else columns
            relevant = float(gain) > 0
        except ValueError as cause:
            if number == 1 and len(columns) in (3, 4):
                continue
            raise InputError(
                f"line {number} of {path} must be: query, item, gain (or query, 0, item, gain), got {line[:80]!r}."
            ) from cause
        if relevant:
            found.setdefault(query, set()).add(item)
    if not found:
        raise InputError(f"{path} must judge at least one item relevant, got none.")
    return found
