"""From a stream of documents to committed rows, encoding only what changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.types import JSON, Float32
from nestvec.core.vectors import MultiVectors, Vectors
from nestvec.inputs import Fields, Limits, ReadReport, passages, read, read_several
from nestvec.inputs.rows import clean
from nestvec.search.columns import Columns, joined
from nestvec.search.settings import Settings
from nestvec.store import Snapshot, Store
from nestvec.tables.row_encoding.fields import row_record

Documents = Callable[[ReadReport], Iterator[Record]]
"""Gives whole documents, and counts in the report what it passed over."""

Item = Record | str | Mapping[str, JSON]
"""What a program may add: a record, a text, or a mapping with ``text`` and other fields."""
Source = str | Path | Sequence[str | Path]
"""What can be read: a path, pattern or package, or several."""

_BATCH = 256  # passages looked at, encoded and committed together: a second or two of work at risk, and a commit
# costs a fiftieth of encoding them; sorted by length, 256 already waste little padding
_SAMPLE = 64  # passages encoded to estimate the time that a survey reports


def from_items(items: Iterable[Item], *, rows: bool = False) -> Documents:
    """Documents made by a program. Two with the same text are both meant, unlike two files with the same text.

    Args:
        items: see :data:`Item`.
        rows: a mapping is a row for an encoder of rows, and has no text of its own.
    """
    given = (_row(item) if rows and isinstance(item, Mapping) else item for item in items)
    return lambda report: read(given, report=report, duplicates="keep")


def from_sources(source: Source, *, limits: Limits | None, fields: Fields | None, rows: bool = False) -> Documents:
    """Documents out of files, folders, patterns and packages; with ``rows``, whole rows of tables."""
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not rows:
        return lambda report: read_several(sources, report=report, limits=limits, fields=fields)
    known = replace(fields or Fields(), as_rows=True)
    return lambda report: (
        row_record(record.id, record.metadata)
        for record in read_several(sources, report=report, limits=limits, fields=known)
    )


def _row(item: Mapping[str, JSON]) -> Record:
    """A row as a record, by its own id or else by what it says."""
    record = row_record("row", {str(key): clean(value) for key, value in item.items()})
    own = item.get("id")
    return replace(record, id=str(own) if isinstance(own, str | int) and own != "" else record.digest.hex())


@dataclass
class IndexReport:
    """What an indexing run did.

    Args:
        read: what was read and what was skipped, with reasons.
        encoded: passages that were encoded.
        reused: passages whose vector was there already, under another id or with other metadata.
        unchanged: passages that were there already, just so.
        removed: rows taken away: replaced, or passages that their document no longer has.
        gone: documents of the collection that were not read this time; taken away only when pruning.
        commits: versions made.
        seconds: wall time.
        encoding: seconds of it spent in the encoder.
        committing: seconds of it spent writing; the rest is reading and splitting.
    """

    read: ReadReport = field(default_factory=ReadReport)
    encoded: int = 0
    reused: int = 0
    unchanged: int = 0
    removed: int = 0
    gone: int = 0
    commits: int = 0
    seconds: float = 0.0
    encoding: float = 0.0
    committing: float = 0.0

    @property
    def passages(self) -> int:
        """Passages seen."""
        return self.encoded + self.reused + self.unchanged

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        names = ("encoded", "reused", "unchanged", "removed", "gone", "commits")
        counts: dict[str, JSON] = {name: getattr(self, name) for name in names}
        times: dict[str, JSON] = {name: round(getattr(self, name), 3) for name in ("seconds", "encoding", "committing")}
        return {"read": self.read.to_json(), **counts, **times}


@dataclass(frozen=True)
class Survey:
    """What an indexing run would do.

    Args:
        read: what can be read and what would be skipped.
        passages: passages in all.
        to_encode: passages that would be encoded.
        tokens: tokens of those.
        bytes: about how much the collection would grow.
        seconds: about how long it would take, from the speed of a sample.
    """

    read: ReadReport
    passages: int
    to_encode: int
    tokens: int
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {
            "read": self.read.to_json(),
            "passages": self.passages,
            "to_encode": self.to_encode,
            "tokens": self.tokens,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 1),
        }


Progress = Callable[[IndexReport], None]


@dataclass(frozen=True)
class _Batch:
    """A run of passages, by what has to be done about them."""

    encode: list[Record]
    reuse: list[Record]
    reuse_from: list[int]  # row ids whose vectors serve
    unchanged: int


class _Known:
    """Row ids by content, for everything in the collection when the run began; 16 bytes a row."""

    def __init__(self, snapshot: Snapshot) -> None:
        pairs = [(int.from_bytes(digest[:8], "little"), rid) for _, rid, digest in snapshot.digests()]
        keys = np.array([key for key, _ in pairs], np.uint64)
        order = np.argsort(keys, kind="stable")
        self._keys, self._rids = keys[order], np.array([rid for _, rid in pairs], np.int64)[order]

    def __call__(self, digest: bytes) -> int | None:
        """A row that may hold this content, by the first half of its digest."""
        key = np.uint64(int.from_bytes(digest[:8], "little"))
        at = int(np.searchsorted(self._keys, key))
        return int(self._rids[at]) if at < len(self._keys) and self._keys[at] == key else None


class Indexing:
    """One run over a source.

    Args:
        store: where to.
        settings: of the collection.
        encoder: of that collection.
    """

    def __init__(self, store: Store, settings: Settings, encoder: Encoder) -> None:
        self._store, self._settings, self._encoder = store, settings, encoder
        self._columns = Columns(settings)

    def run(self, documents: Documents, *, prune: bool | None = None, progress: Progress | None = None) -> IndexReport:
        """Read, split, encode and commit, batch by batch.

        Args:
            documents: what to index.
            prune: True to take away every document that is not among them, False to count them, None for neither.
            progress: called after every batch.
        """
        report, start = IndexReport(), time.monotonic()
        with self._store.read() as snapshot:
            known = _Known(snapshot)
        seen: set[str] = set()
        for batch, ended in self._batches(documents, report.read):
            with self._store.read() as snapshot:
                work = _sort_out(snapshot, known, batch)
                stale = _stale(snapshot, ended)
                seen.update(ended)
                kept = self._columns.kept(snapshot, np.array(work.reuse_from, np.int64)) if work.reuse else None
            begun = time.monotonic()
            made = self._columns.make(work.encode, self._encoder)
            encoded = time.monotonic()
            columns = made if kept is None else joined([made, kept])
            if work.encode or work.reuse or stale:
                done = self._store.commit([*work.encode, *work.reuse], columns, remove=stale)
                report.removed += done.removed
                report.commits += 1
            report.encoding += encoded - begun
            report.committing += time.monotonic() - encoded
            report.encoded += len(work.encode)
            report.reused += len(work.reuse)
            report.unchanged += work.unchanged
            report.seconds = time.monotonic() - start
            if progress is not None:
                progress(report)
        if prune is not None:
            self._settle_gone(seen, report, prune=prune)
        report.seconds = time.monotonic() - start
        return report

    def survey(self, documents: Documents) -> Survey:
        """Read and split everything, and encode a sample to see how fast that goes."""
        report, encoder = ReadReport(), self._encoder
        total = fresh = tokens = text = 0
        sample: list[Record] = []
        sample_tokens = 0
        with self._store.read() as snapshot:
            known = _Known(snapshot)
            for batch, _ in self._batches(documents, report):
                total += len(batch)
                new = _sort_out(snapshot, known, batch).encode
                counts = encoder.count_tokens([record.full_text for record in new])
                fresh, tokens = fresh + len(new), tokens + sum(counts)
                text += sum(len(record.text) for record in new)
                step = max(1, len(new) * 4 // _SAMPLE)  # spread over the first batches, so that lengths are typical
                for record, count in list(zip(new, counts, strict=True))[::step]:
                    if len(sample) < _SAMPLE:
                        sample.append(record)
                        sample_tokens += count
        seconds = _time_sample(encoder, sample) * tokens / max(sample_tokens, 1)
        return Survey(report, total, fresh, tokens, fresh * (4 * self._settings.space.dim + 100) + text, seconds)

    def _batches(self, documents: Documents, report: ReadReport) -> Iterator[tuple[list[Record], dict[str, set[str]]]]:
        """Batches of passages, each with the documents that ended in it and the ids of all their passages."""
        pieces = documents(report)
        if self._settings.budget:
            budget, overlap, count = self._settings.budget, self._settings.overlap, self._encoder.count_tokens
            pieces = passages(pieces, budget=budget, count=count, overlap=overlap, report=report)
        open_: dict[str, set[str]] = {}
        current: str | None = None
        while batch := list(islice(pieces, _BATCH)):
            for piece in batch:
                current = piece.place.parent if piece.place else piece.id
                open_.setdefault(current, set()).add(piece.id)
            # the last document of a full batch may go on in the next one
            ended = {name: ids for name, ids in open_.items() if name != current}
            open_ = {name: ids for name, ids in open_.items() if name == current}
            yield batch, ended
        if open_:
            yield [], open_

    def _settle_gone(self, seen: set[str], report: IndexReport, *, prune: bool) -> None:
        """Count the documents that were not read this time, and take them away if that is asked."""
        with self._store.read() as snapshot:
            gone = [name for name in snapshot.documents() if name not in seen]
            rows = [child for name in gone for child in snapshot.children(name)] if prune else []
        report.gone = len(gone)
        if rows:
            report.removed += self._store.commit(remove=rows).removed
            report.commits += 1


def _sort_out(snapshot: Snapshot, known: _Known, batch: list[Record]) -> _Batch:
    """What has to be encoded, what has a vector already, and what is there just so."""
    there = snapshot.find([record.id for record in batch])
    stored = dict(zip(there, snapshot.records(list(there.values())), strict=True))
    encode: list[Record] = []
    candidates: list[tuple[Record, int]] = []
    unchanged = 0
    for record in batch:
        old = stored.get(record.id)
        if old == record:
            unchanged += 1
            continue
        same_text = old is not None and old.digest == record.digest
        rid = there[record.id] if same_text else known(record.digest)
        if rid is None:
            encode.append(record)
        else:
            candidates.append((record, rid))
    digests = snapshot.digests_of([rid for _, rid in candidates])
    reuse = [(record, rid) for record, rid in candidates if digests.get(rid) == record.digest]
    encode += [record for record, rid in candidates if digests.get(rid) != record.digest]
    return _Batch(encode, [record for record, _ in reuse], [rid for _, rid in reuse], unchanged)


def _stale(snapshot: Snapshot, ended: Mapping[str, set[str]]) -> list[str]:
    """Rows of documents that were read again and no longer have that passage."""
    return [child for name, ids in ended.items() for child in snapshot.children(name) if child not in ids]


def _time_sample(encoder: Encoder, sample: list[Record]) -> float:
    if not sample:
        return 0.0
    encoder.encode(sample[:4])  # the first call warms caches up
    start = time.monotonic()
    made: Float32[np.ndarray, "n d"] = encoder.encode(sample).values
    return (time.monotonic() - start) if len(made) else 0.0


def add_vectors(
    store: Store, settings: Settings, items: Iterable[Item], vectors: Vectors | MultiVectors
) -> IndexReport:
    """Commit records together with vectors that somebody else made, one a record or several.

    Raises:
        SpaceMismatchError: the vectors are of another space.
        InputError: there is not one vector for each record, or one where several are kept.
    """
    columns = Columns(settings).given(vectors)
    report, start = IndexReport(), time.monotonic()
    rows = list(from_items(items)(report.read))
    if len(rows) != len(vectors):
        raise InputError(f"there must be one vector a record, got {len(vectors)} and {len(rows)}. {report.read}")
    done = store.commit(rows, columns)
    report.encoded, report.removed, report.commits = done.added, done.removed, 1
    report.seconds = time.monotonic() - start
    return report
