"""Giving back what deleted rows and many small files cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from nestvec.core.types import Int64
from nestvec.store.ragged import Ragged, RaggedSegment
from nestvec.store.schema import fold_log
from nestvec.store.segment import Segment, SegmentInfo
from nestvec.store.writer import Block, Writer, checked_values, segment_list

_MERGE_AT = 32  # small segments that may lie about before they are merged: bounds open files and search overhead
_SMALL = 8192  # rows; merging more at a time would make a commit wait for old data to be copied
_FULL = 1 << 18  # rows of a segment that compaction has no reason to make longer


@dataclass(frozen=True)
class Compaction:
    """What a compaction gave back.

    Args:
        version: the version it made; older ones cannot be opened any more.
        removed: deleted rows that are now gone from the disk.
        segments: segment files before and after.
        bytes: size of the collection before and after.
    """

    version: int
    removed: int
    segments: tuple[int, int]
    bytes: tuple[int, int]


def merge_small(writer: Writer) -> bool:
    """Copy the newest run of small segments of an array into one, when there are many. Makes no version.

    Cost: at most 4 * 8192 rows are copied, once in 32 commits.
    """
    merged_any = False
    for array in writer.arrays:
        run: list[SegmentInfo] = []
        for info in reversed(segment_list(writer.db, array)):
            if info.n > _SMALL or sum(s.n for s in run) + info.n > 4 * _SMALL:
                break
            run.insert(0, info)
        if len(run) >= _MERGE_AT:
            _replace(writer, array, run)
            merged_any = True
    return merged_any


def compact(writer: Writer) -> Compaction:
    """Drop rows that are dead in the newest version, and the vectors with them; merge what is small.

    Segments whose bands are not those that the settings ask for are written again with these.

    Older versions cannot be opened afterwards. Memory: one block of rows, whatever the size of the
    collection; on the disk, old and new copies of one group of segments stand side by side for a while.
    An interrupted compaction leaves a collection that is valid, and goes on where it stopped.
    """
    before, size = len(segment_list(writer.db)), _size(writer)
    removed = int(writer.db.execute("SELECT count(*) FROM row WHERE died IS NOT NULL").get)
    with writer.transaction():  # first the rows: from here on no older version can ask for the vectors below
        forget_dead(writer)
        head = writer.add_version("compact", 0, 0)
    writer.acknowledge(head)
    for array in writer.arrays:
        for group in _groups(writer, array):
            _replace(writer, array, group)
    with writer.transaction():
        writer.db.execute("INSERT INTO lexicon(lexicon) VALUES ('optimize')")
    writer.db.execute("PRAGMA incremental_vacuum").fetchall()
    fold_log(writer.db)
    return Compaction(head.version, removed, (before, len(segment_list(writer.db))), (size, _size(writer)))


def forget_dead(writer: Writer) -> None:
    """Inside a transaction: take the rows that are dead in the newest version out of the database, text and all."""
    writer.db.execute("DELETE FROM lexicon WHERE rowid IN (SELECT rid FROM row WHERE died IS NOT NULL)")
    writer.db.execute("DELETE FROM row WHERE died IS NOT NULL")


def _groups(writer: Writer, array: str) -> Iterator[list[SegmentInfo]]:
    """Neighbouring segments that are worth writing again, together."""
    group: list[SegmentInfo] = []
    for info in segment_list(writer.db, array):
        full = info.n >= _FULL // 2 and not _is_due(writer, info)
        if group and (full or sum(s.n for s in group) + info.n > _FULL):
            if len(group) > 1 or _is_due(writer, group[0]):
                yield group
            group = []
        if not full:
            group.append(info)
    if len(group) > 1 or (group and _is_due(writer, group[0])):
        yield group


def _is_due(writer: Writer, info: SegmentInfo) -> bool:
    """Whether a segment has dead rows, or other bands than the settings ask for by now."""
    segment = writer.open_segment(info)
    return segment.widths != writer.widths(info.array) or len(_kept(writer, segment)) < info.n


def _kept(writer: Writer, segment: Segment | RaggedSegment) -> Int64[np.ndarray, " m"]:
    """Positions in a segment whose rows the database still has, also those left by an interrupted compaction."""
    there = writer.db.execute("SELECT rid FROM row WHERE rid BETWEEN ? AND ?", (segment.info.first, segment.info.last))
    known = np.fromiter((rid for (rid,) in there), np.int64)
    return np.flatnonzero(np.isin(segment.rows, known, assume_unique=True))


def _replace(writer: Writer, array: str, group: list[SegmentInfo]) -> None:
    """Write the rows of a group of segments that are still known as one, list it in their place, remove them."""
    segments = [writer.open_segment(info) for info in group]
    kept = [_kept(writer, segment) for segment in segments]
    rows = np.concatenate([s.rows[a] for s, a in zip(segments, kept, strict=True)])
    order = np.argsort(rows)  # rows that were restored after damage lie between those of another segment
    new = [writer.write_segment(array, rows[order], _values(segments, kept, order))] if len(rows) else []
    writer.sync_segments()
    with writer.transaction():
        writer.list_segments(new, instead_of=group)
    writer.remove_segments(group)


def _values(
    segments: list[Segment | RaggedSegment], kept: list[Int64[np.ndarray, " _"]], order: Int64[np.ndarray, " n"]
) -> Iterator[Block]:
    if (np.diff(order) == 1).all():
        for segment, positions in zip(segments, kept, strict=True):
            yield from checked_values(segment, positions)
        return
    source = np.repeat(np.arange(len(segments)), [len(positions) for positions in kept])[order]
    position = np.concatenate(kept)[order]
    for start in range(0, len(order), 4096):
        some = slice(start, start + 4096)
        places = [np.flatnonzero(source[some] == number) for number in range(len(segments))]
        there = [(segment, at) for segment, at in zip(segments, places, strict=True) if len(at)]
        parts = [block for segment, at in there for block in checked_values(segment, position[some][at])]
        yield _joined(parts)[np.argsort(np.concatenate(places))]


def _joined(parts: list[Block]) -> Block:
    if isinstance(parts[0], Ragged):
        return Ragged.join(cast("list[Ragged]", parts), width=parts[0].values.shape[1])
    return np.concatenate(cast("list[np.ndarray]", parts))


def _size(writer: Writer) -> int:
    return sum(file.stat().st_size for file in writer.path.rglob("*") if file.is_file())
