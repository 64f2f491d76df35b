"""Queries and judgements from files: those of BEIR and TREC, or one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nestvec.core.errors import InputError

_FORMS = (
    "Judgements are a folder as BEIR has it (queries.jsonl, qrels/*.tsv), a .jsonl file of lines such as "
    '{"query": "…", "relevant": ["id", …]}, or a file of query id, document id and gain with --queries beside it.'
)


@dataclass(frozen=True)
class Questions:
    """Queries, and for each the documents that answer it.

    Args:
        texts: of the queries.
        gains: ``{document id: gain}`` a query, each with a gain above 0; None where nobody judged.
        left_out: queries without a relevant document.
    """

    texts: tuple[str, ...]
    gains: tuple[Mapping[str, float], ...] | None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.texts)


def read_queries(path: Path) -> Questions:
    """A query log: one query a line, or a ``.jsonl`` file of objects with ``text``. Equal queries count once.

    Raises:
        InputError: the file cannot be read, or holds no query.
    """
    found = tuple(dict.fromkeys(_texts(path).values()))
    if not found:
        raise InputError(f"a file of queries must hold at least one, got none in {str(path)!r}.")
    return Questions(found, None)


def read_judgements(path: Path, queries: Path | None = None) -> Questions:
    """Judged queries, in any of the forms that the error below names.

    Args:
        path: of the judgements.
        queries: of the texts, where the judgements name queries by id.

    Raises:
        InputError: a file cannot be read, a gain is no finite number, a document is judged twice for a query, a judged
            query has no text, or no query has a relevant document.
    """
    if not path.exists():
        raise InputError(f"judgements must be readable, got {str(path)!r}, which is not there. {_FORMS}")
    if path.is_dir():
        return _joined(_qrels(_split(path)), _texts(queries or path / "queries.jsonl"), path)
    if path.suffix == ".jsonl":
        return _own(path)
    if queries is None:
        raise InputError(f"{str(path)!r} names queries by id, so --queries must give their texts. {_FORMS}")
    return _joined(_qrels(path), _texts(queries), path)


def _split(folder: Path) -> Path:
    """The judgements of a BEIR folder: those for testing where there are several."""
    found = sorted((folder / "qrels").glob("*.tsv"))
    if not found:
        raise InputError(f"a folder of judgements must have qrels/*.tsv in it, got {str(folder)!r}. {_FORMS}")
    return next((file for file in found if file.stem == "test"), found[0])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as cause:
        raise InputError(f"{str(path)!r} must be readable, got: {cause.strerror}. {_FORMS}") from cause
    except ValueError as cause:
        raise InputError(f"{str(path)!r} must be text in UTF-8, got: {cause}.") from cause
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def _texts(path: Path) -> dict[str, str]:
    """Texts of queries by id; by line number in a plain file."""
    found: dict[str, str] = {}
    for number, line in _lines(path):
        if path.suffix != ".jsonl":
            found[str(number)] = line.strip()
            continue
        row = _object(line, path, number)
        text = row.get("text") or row.get("query")
        name = str(row.get("_id", row.get("id", number)))
        if not isinstance(text, str) or name in found:
            what = "a text" if name not in found else "an id of its own"
            raise InputError(f"every query must have {what}, got {line.strip()!r} in line {number} of {str(path)!r}.")
        found[name] = text
    return found


def _qrels(path: Path) -> dict[str, dict[str, float]]:
    """BEIR's three columns with a header, or TREC's four without."""
    found: dict[str, dict[str, float]] = {}
    for number, line in _lines(path):
        parts = line.split("\t") if "\t" in line else line.split()
        if number == 1 and parts[-1].strip() == "score":
            continue
        if len(parts) not in (3, 4):
            raise InputError(
                f"a judgement must be a query id, a document id and a gain, got {line!r} in line {number} of "
                f"{str(path)!r}."
            )
        query, document, gain = parts[0].strip(), parts[-2].strip(), _gain(parts[-1], path, number)
        _put(found.setdefault(query, {}), document, gain, f"line {number} of {str(path)!r}")
    return found


def _own(path: Path) -> Questions:
    """Lines with the query's text and its documents."""
    texts: dict[str, str] = {}
    gains: dict[str, dict[str, float]] = {}
    for number, line in _lines(path):
        row = _object(line, path, number)
        text, relevant = row.get("query"), row.get("relevant")
        if not isinstance(text, str) or not isinstance(relevant, list | dict):
            raise InputError(f"line {number} of {str(path)!r} must have query and relevant, got {line!r}. {_FORMS}")
        pairs = relevant.items() if isinstance(relevant, dict) else ((name, 1) for name in relevant)
        texts[text] = text
        for document, gain in pairs:
            where = f"line {number} of {str(path)!r}"
            _put(gains.setdefault(text, {}), str(document), _gain(gain, path, number), where)
    return _joined(gains, texts, path)


def _joined(gains: Mapping[str, Mapping[str, float]], texts: Mapping[str, str], path: Path) -> Questions:
    missing = [name for name in gains if name not in texts]
    if missing:
        raise InputError(
            f"every judged query must have a text, got none for {len(missing)} of {len(gains)}, the first of them "
            f"{missing[0]!r}."
        )
    useful = [name for name in gains if max(gains[name].values(), default=0) > 0]
    if not useful:
        raise InputError(f"a query must have a relevant document to judge by, got none in {str(path)!r}.")
    return Questions(
        tuple(texts[name] for name in useful),
        tuple(gains[name] for name in useful),
        len(set(texts) | set(gains)) - len(useful),
    )


def _object(line: str, path: Path, number: int) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as cause:
        raise InputError(f"line {number} of {str(path)!r} must be JSON, got {line!r}: {cause}.") from cause
    if not isinstance(row, dict):
        raise InputError(f"line {number} of {str(path)!r} must be an object, got {line!r}.")
    return row


def _gain(value: object, path: Path, number: int) -> float:
    try:
        gain = float(str(value))
    except ValueError:
        gain = math.nan
    if not math.isfinite(gain):
        raise InputError(f"a gain must be a finite number, got {value!r} in line {number} of {str(path)!r}.")
    return gain


def _put(gains: dict[str, float], document: str, gain: float, where: str) -> None:
    if document in gains:
        raise InputError(f"a document must be judged once for a query, got {document!r} again in {where}.")
    gains[document] = gain
