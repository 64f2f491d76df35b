"""Queries to plan with, judged or not, from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nestvec.core.errors import InputError
from nestvec.evaluation.judgements import gain, read_gains, read_texts
from nestvec.evaluation.rows import read_rows

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
    found = tuple(dict.fromkeys(read_texts(path).values()))
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
        return _joined(read_gains(_split(path)), read_texts(queries or path / "queries.jsonl"), path)
    if path.suffix == ".jsonl":
        return _own(path)
    if queries is None:
        raise InputError(f"{str(path)!r} names queries by id, so --queries must give their texts. {_FORMS}")
    return _joined(read_gains(path), read_texts(queries), path)


def _split(folder: Path) -> Path:
    """The judgements of a BEIR folder: those for testing where there are several."""
    found = sorted((folder / "qrels").glob("*.tsv"))
    if not found:
        raise InputError(f"a folder of judgements must have qrels/*.tsv in it, got {str(folder)!r}. {_FORMS}")
    return next((file for file in found if file.stem == "test"), found[0])


def _own(path: Path) -> Questions:
    """Lines with the query's text and its documents."""
    gains: dict[str, dict[str, float]] = {}
    for row in read_rows(path):
        text, found = row.text("query"), row.values.get("relevant")
        if not isinstance(found, list | dict):
            raise InputError(f"{row.where}: relevant must be a list of ids, or gains by id, got {found!r}. {_FORMS}")
        mine = gains.setdefault(text, {})
        for document, value in found.items() if isinstance(found, dict) else ((name, 1) for name in found):
            if str(document) in mine:
                raise InputError(f"{row.where}: a pair must be judged once, got {text!r} and {document!r} twice.")
            mine[str(document)] = gain(value, row.where)
    return _joined(gains, {text: text for text in gains}, path)


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
