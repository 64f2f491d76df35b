"""Other vectors for every row, or other settings: all of it in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import JSON, Int64, Matrix
from nestvec.store import derived, layout
from nestvec.store.compact import forget_dead
from nestvec.store.head import Head
from nestvec.store.ragged import Ragged, as_block
from nestvec.store.segment import SegmentInfo
from nestvec.store.writer import Block, Writer, segment_list

Values = Callable[[Int64[np.ndarray, " m"]], Matrix | Ragged]
"""From row ids, ascending, to their vectors, or to their codes where a row has several."""

_SEGMENT = 1 << 16  # rows of a new segment; larger ones save little, smaller ones cost open files
_BATCH = 4096  # rows asked for at a time: what is held in memory


def change_settings(writer: Writer, settings: Mapping[str, JSON]) -> None:
    """Replace the settings and nothing else.

    Raises:
        InputError: the settings name other arrays or dims.
    """
    layout.check_arrays(settings)
    if settings["arrays"] != writer.arrays:
        raise InputError(f"the arrays must stay {writer.arrays}, got {settings['arrays']}; vectors are not replaced.")
    settled = {**settings, "generation": writer.generation}
    with writer.transaction():
        head = _settle(writer, settled, "settings")
    _finish(writer, settled, head)


def rewrite(writer: Writer, settings: Mapping[str, JSON], values: Mapping[str, Values]) -> None:
    """Write new segments for all living rows; then list them in place of the old ones, with the new settings.

    Of the rows of a segment, 65,536 at most, the arrays are asked for one after the other, in the order of ``values``:
    what makes one of them may keep what the next one needs.

    The order is that of a commit: segment files, their folder, one transaction, HEAD. ``collection.json`` is brought
    up to date last; until then the settings in the database are the ones that hold.

    Raises:
        InputError: an array is missing or unknown.
        ShapeError, NotFiniteError: vectors do not fit.
    """
    layout.check_arrays(settings)
    settled = {**settings, "generation": writer.generation + 1}
    wanted = set(cast("dict[str, int]", settled["arrays"]))
    if set(values) != wanted:
        raise InputError(f"new vectors must come for the arrays {sorted(wanted)}, got {sorted(values)}.")
    fresh = Writer(writer.path, writer.db, writer.disk, settled)
    rids = writer.db.execute("SELECT rid FROM row WHERE died IS NULL ORDER BY rid")
    alive = np.fromiter((rid for (rid,) in rids), np.int64)
    old = segment_list(writer.db)
    groups = [alive[i : i + _SEGMENT] for i in range(0, len(alive), _SEGMENT)]
    new: list[SegmentInfo] = []
    try:
        for rows in groups:
            for array, make in values.items():
                new.append(fresh.write_segment(array, rows, _blocks(fresh, array, make, rows)))
    except BaseException:
        writer.remove_segments(new)
        raise
    writer.sync_segments()
    files = derived.names(writer.db)
    with writer.transaction():
        forget_dead(writer)
        writer.list_segments(new, instead_of=old)
        writer.db.execute("DELETE FROM derived")
        head = _settle(writer, settled, "resize")
    _finish(writer, settled, head)
    writer.remove_segments(old)
    for _, file in files:
        writer.disk.remove(writer.path / layout.DERIVED / file)


def _blocks(writer: Writer, array: str, make: Values, rows: Int64[np.ndarray, " n"]) -> Iterator[Block]:
    dim, ragged = writer.arrays[array], writer.is_ragged(array)
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        block = as_block(make(some), name="new vectors", dim=dim, ragged=ragged)
        if len(block) != len(some):
            raise ShapeError(f"there must be one new vector a row, got {len(block)} for {len(some)} rows.")
        yield block


def _settle(writer: Writer, settings: Mapping[str, JSON], what: str) -> Head:
    """Inside a transaction: the settings, and a line of history for them."""
    layout.put_settings(writer.db, settings)
    return writer.add_version(what, 0, 0)


def _finish(writer: Writer, settings: Mapping[str, JSON], head: Head) -> None:
    writer.acknowledge(head)
    writer.settings = dict(settings)
    layout.copy_settings(writer.path, settings, writer.disk)
