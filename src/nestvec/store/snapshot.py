"""One version of a collection, as a reader sees it while others write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import apsw
import numpy as np

from nestvec.core.errors import CorruptError, NotFoundError
from nestvec.core.filters import Filter
from nestvec.core.record import Record
from nestvec.core.types import JSON, Float32, Int64
from nestvec.store.pushdown import to_sql
from nestvec.store.ragged import Ragged, RaggedSegment
from nestvec.store.schema import ALIVE, ROW_COLUMNS, from_row, is_unicode
from nestvec.store.segment import Segment

_WORD = re.compile(r"\w+")
_MAX_WORDS = 256  # of a lexical query; the cost of a match grows with each


@dataclass(frozen=True, eq=False)
class State:
    """What a version consists of, besides the rows in the database.

    Args:
        version: its number.
        count: rows alive in it.
        last: the largest row id in it.
        segments: open segments by the name of their array, in the order of their rows.
        dead: ``[m]`` int64, ascending: row ids in the segments that are not alive in this version.
        settings: of the collection, which a resize replaces together with the vectors.
    """

    version: int
    count: int
    last: int
    segments: dict[str, tuple[Segment | RaggedSegment, ...]]
    dead: Int64[np.ndarray, " m"]
    settings: Mapping[str, JSON]


class Snapshot:
    """Reads of one version, all inside one read transaction: nothing that others do changes what it says."""

    def __init__(self, db: apsw.Connection, state: State) -> None:
        self._db = db
        self.state = state

    @property
    def version(self) -> int:
        """Number of the version."""
        return self.state.version

    def __len__(self) -> int:
        return self.state.count

    def segments(self, array: str) -> tuple[Segment, ...]:
        """The open segments of one array of vectors, ascending by row id."""
        return cast("tuple[Segment, ...]", self.state.segments.get(array, ()))

    def ragged(self, array: str) -> tuple[RaggedSegment, ...]:
        """The open segments of one array of several codes a row, ascending by row id."""
        return cast("tuple[RaggedSegment, ...]", self.state.segments.get(array, ()))

    def records(self, rids: Sequence[int] | Int64[np.ndarray, " k"]) -> list[Record]:
        """The records with these row ids, in this order.

        Raises:
            CorruptError: a row is not there.
        """
        found: dict[int, Record] = {}
        wanted = [int(rid) for rid in rids]
        for some in _chunks(wanted):
            marks = ",".join("?" * len(some))
            for rid, *row in self._db.execute(f"SELECT rid, {ROW_COLUMNS} FROM row WHERE rid IN ({marks})", some):
                found[rid] = from_row(tuple(row))
        missing = [rid for rid in wanted if rid not in found]
        if missing:
            raise CorruptError(f"every vector must have its row, but row {missing[0]} is gone. Run: nestvec verify")
        return [found[rid] for rid in wanted]

    def find(self, ids: Iterable[str]) -> dict[str, int]:
        """Row ids by the ids of those records that are alive; the others are left out."""
        found: dict[str, int] = {}
        for some in _chunks([id_ for id_ in ids if is_unicode(id_)]):
            marks = ",".join(f":i{i}" for i in range(len(some)))
            names = {f"i{i}": id_ for i, id_ in enumerate(some)} | {"v": self.version}
            query = f"SELECT id, rid FROM row WHERE id IN ({marks}) AND {ALIVE} AND {self._index_hint()}"
            found.update(self._db.execute(query, names))
        return found

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records with these ids, in this order.

        Raises:
            NotFoundError: one of them is not in this version.
        """
        found = self.find(ids)
        for id_ in ids:
            if id_ not in found:
                raise NotFoundError(f"every id must be in the collection, got {id_!r}, which is not in it.")
        return self.records([found[id_] for id_ in ids])

    def select(self, where: Filter) -> Int64[np.ndarray, " m"]:
        """Row ids, ascending, of the records whose metadata meets a filter. Cost: reads every row's metadata."""
        sql, names = to_sql(where)
        rows = self._db.execute(
            f"SELECT rid FROM row WHERE {ALIVE} AND {sql} ORDER BY rid", names | {"v": self.version}
        )
        return np.fromiter((rid for (rid,) in rows), np.int64)

    def match(self, text: str, k: int, *, where: Filter | None = None) -> list[tuple[int, float]]:
        """The ``k`` best rows for the words of ``text`` as ``(row id, BM25 score)``, best first.

        ``score = sum over words of idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / average))``, as SQLite's
        FTS5 computes it, over title and text, words stemmed (Porter). Ties go to the smaller row id.

        Source: Robertson and Zaragoza 2009, eq. 3.15, The Probabilistic Relevance Framework.
        """
        words = list(dict.fromkeys(_WORD.findall(text)))[:_MAX_WORDS]
        if not words or k < 1:
            return []
        names = {"v": self.version, "k": k, "q": " OR ".join(f'"{word}"' for word in words)}
        condition = ""
        if where is not None:
            sql, more = to_sql(where)
            condition, names = f"AND {sql}", names | more
        return [
            (rid, -score)
            for rid, score in self._db.execute(
                f"SELECT lexicon.rowid, bm25(lexicon) AS score FROM lexicon JOIN row ON row.rid = lexicon.rowid "
                f"WHERE lexicon MATCH :q AND {ALIVE} {condition} ORDER BY score, lexicon.rowid LIMIT :k",
                names,
            )
        ]

    def digests(self) -> Iterator[tuple[str, int, bytes]]:
        """``(id, row id, digest)`` of every record, ascending by row id."""
        yield from self._db.execute(f"SELECT id, rid, digest FROM row WHERE {ALIVE} ORDER BY rid", {"v": self.version})

    def digests_of(self, rids: Sequence[int]) -> dict[int, bytes]:
        """Digests of rows by row id, dead rows included as long as they are kept."""
        found: dict[int, bytes] = {}
        for some in _chunks(list(rids)):
            marks = ",".join("?" * len(some))
            found.update(self._db.execute(f"SELECT rid, digest FROM row WHERE rid IN ({marks})", some))
        return found

    def documents(self) -> Iterator[str]:
        """Id of every document, whether it is one row or several passages."""
        query = f"SELECT DISTINCT coalesce(parent, id) FROM row WHERE {ALIVE}"
        for (name,) in self._db.execute(query, {"v": self.version}):
            yield name

    def children(self, parent: str) -> list[str]:
        """Ids of the passages of a document, and of the document itself if it is a row."""
        query = f"SELECT id FROM row WHERE (parent = :p OR id = :p) AND {ALIVE} ORDER BY rid"
        return [id_ for (id_,) in self._db.execute(query, {"p": parent, "v": self.version})]

    def rows(self) -> Iterator[tuple[int, Record]]:
        """``(row id, record)`` of everything, ascending by row id; never all in memory."""
        for rid, *row in self._db.execute(
            f"SELECT rid, {ROW_COLUMNS} FROM row WHERE {ALIVE} ORDER BY rid", {"v": self.version}
        ):
            yield rid, from_row(tuple(row))

    def vectors(
        self, array: str, rids: Int64[np.ndarray, " k"], *, width: int | None = None
    ) -> Float32[np.ndarray, "k w"]:
        """The vectors ``[k, d]`` of these row ids, in this order, their blocks verified.

        Args:
            array: which array.
            rids: row ids.
            width: the leading dimensions that are wanted, ``[k, width]``; only the bands that hold them are read.

        Raises:
            NotFoundError: a row has no vector in this array.
            CorruptError: a block is damaged.
        """
        segments = self.segments(array)
        dim = sum(segments[0].widths) if segments else 0
        out = np.empty((len(rids), dim if width is None else min(width, dim)), np.float32)
        found = np.zeros(len(rids), bool)
        for segment in segments:
            at = np.searchsorted(segment.rows, rids)
            here = (at < len(segment)) & (segment.rows[np.minimum(at, len(segment) - 1)] == rids)
            for position in np.flatnonzero(here):
                segment.touch(int(at[position]), int(at[position]) + 1, width=width)
            out[here] = segment.take(at[here], width=width)
            found |= here
        if not found.all():
            raise NotFoundError(
                f"every row must have a vector in {array!r}, got row {rids[~found][0]}, which has none."
            )
        return out

    def several(self, array: str, rids: Int64[np.ndarray, " k"]) -> Ragged:
        """The codes of these row ids, in this order, their blocks verified; none of a row that has lost them to damage.

        Raises:
            CorruptError: a block is damaged.
        """
        width = int(cast("dict[str, int]", self.state.settings["arrays"])[array])
        parts, places = [Ragged.join([], width=width)], [np.zeros(0, np.int64)]
        for segment in self.ragged(array):
            at = np.searchsorted(segment.rows, rids)
            here = np.flatnonzero((at < len(segment)) & (segment.rows[np.minimum(at, len(segment) - 1)] == rids))
            segment.touch_at(at[here])
            parts.append(segment.take(at[here]))
            places.append(here)
        found = np.concatenate(places)
        lost = np.setdiff1d(np.arange(len(rids)), found, assume_unique=True)
        parts.append(Ragged(np.zeros((0, width), np.uint8), np.zeros(len(lost) + 1, np.int64)))
        return Ragged.join(parts, width=width)[np.argsort(np.concatenate([found, lost]))]

    def _index_hint(self) -> str:
        # the index on ids holds live rows only: it serves the newest version, an older one reads the table
        newest = self._db.execute("SELECT max(version) FROM version").get
        return "row.died IS NULL" if newest == self.version else "1"


def _chunks(items: list[str] | list[int], size: int = 10_000) -> Iterator[list[str] | list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
