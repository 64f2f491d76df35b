"""Queries, and what answers them, in files: as BEIR and TREC lay them out, read and written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nestvec.core.errors import InputError
from nestvec.core.record import Record
from nestvec.evaluation.rows import find, opened, read_rows

Gains = dict[str, dict[str, float]]
"""``{query: {document: gain}}``."""

_HEAD = ("query-id", "corpus-id", "score")
_FORM = "a query id, a document id and a gain (TREC has a column between the first two)"


def read_gains(path: Path) -> Gains:
    """Judgements: BEIR's three columns with their names above, or without; or TREC's four. Gzipped or not.

    Columns are separated by tabs, or by blanks where a line has no tab. Gains of 0 and less are kept: somebody looked.

    Raises:
        InputError: there is no such file, a line has other columns, a gain is no finite number, a document is judged
            twice for a query, or there is no judgement.
    """
    found: Gains = {}
    for where, line in _lines(path):
        columns = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if columns[-1] == _HEAD[-1] and not found:
            continue
        if len(columns) not in (3, 4):
            raise InputError(f"{where}: a judgement must be {_FORM}, got {line[:80]!r}.")
        query, document = columns[0], columns[-2]
        if document in found.setdefault(query, {}):
            raise InputError(f"{where}: a pair must be judged once, got {query!r} and {document!r} twice.")
        found[query][document] = gain(columns[-1], where)
    if not found:
        raise InputError(f"{path.name} must have at least one row with a judgement, got none.")
    return found


def gain(value: object, where: str) -> float:
    """A gain as a number.

    Raises:
        InputError: it is none, or NaN or infinite.
    """
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{where}: a gain must be a finite number, got {value!r}.")
    return found


def read_texts(path: Path) -> dict[str, str]:
    """Texts of queries by id: objects with ``_id`` and ``text`` in a ``.jsonl`` file, else lines by their number.

    Raises:
        InputError: there is no such file, a query has no text, or two have one id.
    """
    if find(path).name.removesuffix(".gz").endswith(".jsonl"):
        found: dict[str, str] = {}
        for number, row in enumerate(read_rows(path), 1):
            name = row.label("_id", "id") if {"_id", "id"} & set(row.values) else str(number)
            if name in found:
                raise InputError(f"{row.where}: ids of queries must be unique, got {name!r} twice.")
            found[name] = row.text("text", "query")
        return found
    return {where.rpartition(":")[2]: line.strip() for where, line in _lines(path)}


def relevant(judged: Mapping[str, Mapping[str, float]]) -> dict[str, set[str]]:
    """The documents with a gain above 0, of each query that has some.

    Raises:
        InputError: no query has any.
    """
    found = {query: {name for name, value in gains.items() if value > 0} for query, gains in judged.items()}
    found = {query: names for query, names in found.items() if names}
    if not found:
        raise InputError("judgements must call at least one document relevant (a gain above 0), got none.")
    return found


def write_beir(
    folder: Path,
    documents: Iterable[Record],
    queries: Mapping[str, str],
    judged: Mapping[str, Mapping[str, float]],
    *,
    split: str = "test",
) -> None:
    """Write ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``, which BEIR, MTEB and nestvec read.

    Args:
        folder: made if it is not there; none of the files may be.
        documents: id, title and text of each are written.
        queries: texts by id.
        judged: ``{query: {document: gain}}``; whole gains are written as whole numbers, the only ones that BEIR reads.
        split: name of the judgements.

    Raises:
        InputError: one of the files is there.
        OSError: the disk refuses.

    Source: Thakur et al. 2021 (arXiv:2104.08663), the layout of its data sets.
    """
    corpus, asked, qrels = folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv"
    for path in (corpus, asked, qrels):
        if path.exists():
            raise InputError(f"{path} must not be there, got a file that is. Choose another folder.")
    qrels.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"_id": record.id, "title": record.title or "", "text": record.text} for record in documents)
    _write(corpus, (json.dumps(row, ensure_ascii=False) for row in rows))
    _write(asked, (json.dumps({"_id": name, "text": text}, ensure_ascii=False) for name, text in queries.items()))
    rated = ((query, name, _plain(value)) for query, gains in judged.items() for name, value in gains.items())
    _write(qrels, ("\t".join(row) for row in (_HEAD, *rated)))


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines with something in them, and where they are."""
    file = find(path)
    with opened(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{file.name}:{number}", line.rstrip("\r\n")
