"""One commit: records with their vectors in, others out, as one version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.record import Record
from nestvec.core.types import ArrayLike
from nestvec.store.ragged import Ragged, as_block
from nestvec.store.schema import INSERT_ROW, is_unicode, to_row
from nestvec.store.writer import Block, Writer


@dataclass(frozen=True)
class Commit:
    """What a commit did.

    Args:
        version: the version it made, or the one an earlier try with the same id made.
        added: rows that are new, replaced ones included.
        removed: rows that are gone, replaced ones included.
        repeated: True if this commit id was there already, and nothing was done.
    """

    version: int
    added: int
    removed: int
    repeated: bool = False


def earlier(writer: Writer, commit_id: str) -> Commit | None:
    """What an earlier try with the same id did; None if there was none.

    Raises:
        InputError: the id is not valid Unicode.
    """
    if not is_unicode(commit_id):
        raise InputError(f"a commit id must be valid Unicode, got {commit_id!r}.")
    query = "SELECT version, added, removed FROM version WHERE commit_id = ?"
    for version, added, removed in writer.db.execute(query, (commit_id,)):
        return Commit(version, added, removed, repeated=True)
    return None


def checked(
    writer: Writer, records: Sequence[Record], arrays: Mapping[str, ArrayLike | Ragged], *, dims: Mapping[str, int]
) -> tuple[Sequence[Record], dict[str, Block]]:
    """Records and their vectors, the last of those with one id.

    Args:
        writer: of the collection.
        records: any.
        arrays: ``[n, d]`` each, one row a record, or codes of ``n`` rows.
        dims: the arrays that there must be, and ``d`` of each.

    Raises:
        InputError: an array is missing or unknown, or is not codes where there must be codes.
        ShapeError, NotFiniteError: an array does not fit.
    """
    n = len(records)
    if n and set(arrays) != set(dims):
        raise InputError(f"a commit must bring the arrays {sorted(dims)}, got {sorted(arrays)}.")
    blocks = {
        name: as_block(values, name=name, dim=dims[name], ragged=writer.is_ragged(name))
        for name, values in arrays.items()
    }
    for name, block in blocks.items():
        if len(block) != n:
            raise ShapeError(f"{name} must have one row per record, got {len(block)} rows for {n} records.")
    chosen = sorted({record.id: i for i, record in enumerate(records)}.values())
    if len(chosen) == n:
        return records, blocks
    return [records[i] for i in chosen], {name: block[chosen] for name, block in blocks.items()}


def commit(
    writer: Writer, records: Sequence[Record], blocks: Mapping[str, Block], remove: set[str], commit_id: str | None
) -> Commit:
    """Segment files, their folder, one transaction, HEAD; each synced before the next.

    Args:
        writer: of the collection.
        records: of different ids; each replaces the one of its id.
        blocks: their vectors, by array.
        remove: ids to take away; those that are not there are no error.
        commit_id: kept beside the version.
    """
    version, last = writer.db.execute("SELECT max(version) + 1, max(last_rid) FROM version").get
    rows = [to_row(record, rid, version) for rid, record in enumerate(records, last + 1)]
    ids = np.arange(last + 1, last + 1 + len(records), dtype=np.int64)
    segments = [writer.write_segment(name, ids, iter([block])) for name, block in blocks.items() if len(block)]
    if segments:
        writer.sync_segments()
    gone = [record.id for record in records] + sorted(filter(is_unicode, remove))
    with writer.transaction():
        before = writer.db.total_changes()
        query = "UPDATE row SET died = ? WHERE id = ? AND died IS NULL"
        writer.db.executemany(query, ((version, id_) for id_ in gone))
        removed = writer.db.total_changes() - before
        writer.db.executemany(INSERT_ROW, rows)
        words = ((rid, record.text, record.title) for rid, record in enumerate(records, last + 1))
        writer.db.executemany("INSERT INTO lexicon (rowid, text, title) VALUES (?, ?, ?)", words)
        writer.list_segments(segments)
        head = writer.add_version("commit", len(rows), removed, last_rid=last + len(rows), commit_id=commit_id)
    writer.acknowledge(head)
    return Commit(version, len(rows), removed)
