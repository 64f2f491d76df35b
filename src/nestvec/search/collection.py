"""The object a user holds: records and their vectors on disk, found by meaning."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.filters import parse_filter
from nestvec.core.hits import Hits
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.core.types import JSON
from nestvec.core.vectors import Vectors
from nestvec.encoders import load
from nestvec.inputs import Fields, Limits
from nestvec.search.answers import Ranking, answer
from nestvec.search.finder import TARGET, Finder, GraphReport
from nestvec.search.indexing import Indexing, IndexReport, Item, Progress, Source, Survey, from_items, from_sources
from nestvec.search.result import Result
from nestvec.search.settings import ARRAY, Settings, as_searched
from nestvec.search.upkeep import describe, encode_missing
from nestvec.store import Compaction, Repair, Store, Verification, Version, repair, verify

Where = Mapping[str, JSON]
Mode = Literal["dense", "lexical"]

_OVERLAP = 32  # tokens: a sentence or two, so that what a cut went through is whole on one of its sides


class Collection:
    """Records with their vectors, searchable by meaning; durable, versioned, and checked on the way in and out.

    Make one with :meth:`create` or :meth:`open`, and use it in a ``with`` block. Every method may be called
    from several threads. One process at a time may have it open for writing, any number for reading, and
    readers see each new version as soon as it is committed.
    """

    def __init__(self, store: Store, *, encoder: Encoder | str | Path | None) -> None:
        self._store = store
        self.settings = Settings.from_json(store.settings)
        self._encoder: Encoder | None = None
        self._source = self.settings.source if encoder is None else encoder
        self._finder = Finder(self.settings.space.dim)
        self._lock = threading.RLock()
        if isinstance(encoder, Encoder):
            self.settings.space.require(encoder.space)
            self._encoder = encoder

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        encoder: Encoder | str | Path | None = "default",
        space: Space | None = None,
        budget: int | None = None,
        overlap: int = _OVERLAP,
        size: Size | str | None = None,
    ) -> Collection:
        """Make an empty collection and open it for writing. What is given here is pinned for good.

        Args:
            path: a new or empty folder.
            encoder: an encoder; or ``default``, a model folder, or a hub id to load one from; or None, to
                bring vectors along with the records (then ``space`` says what they are).
            space: only with ``encoder=None``.
            budget: tokens a passage may have; None for as many as the encoder can see, 0 to never split records.
            overlap: tokens that two passages share where a section had to be cut.
            size: of the vectors, such as ``L3-d128``; None for that of the encoder.

        Raises:
            InputError: encoder and space are both given or both missing; the budget exceeds the encoder's window; the
                encoder has no such size.
            MissingExtraError: the encoder needs a library that is not installed.
            StoreError: the folder has something in it, or cannot be written.
        """
        if (encoder is None) == (space is None):
            raise InputError("a collection must have either an encoder or a space, got both or neither.")
        kind, source, window = None, "", 0
        if encoder is not None:
            encoder = _sized(encoder, size) if isinstance(encoder, Encoder) else load(encoder, size=size or "full")
            space, window = encoder.space, encoder.window
            kind, source = str(getattr(encoder, "kind", "custom")), str(getattr(encoder, "source", ""))
        budget = window if budget is None else budget
        if not 0 <= budget <= max(window, 0):
            raise InputError(f"budget must be 0 to {window}, which is what the encoder can see, got {budget}.")
        pinned = str(getattr(encoder, "size", None) or Size())
        settings = Settings(cast(Space, space), kind, source, budget, min(overlap, max(0, budget // 2 - 1)), pinned)
        return cls(Store.create(path, settings=settings.to_json()), encoder=encoder)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        encoder: Encoder | str | Path | None = None,
        write: bool = False,
        version: int | None = None,
    ) -> Collection:
        """Open a collection.

        Args:
            path: its folder.
            encoder: the encoder that made it, if it is not to be loaded from where it was loaded then.
            write: take the writer lock.
            version: read this version instead of the newest.

        Raises:
            SpaceMismatchError: ``encoder`` gives vectors of another space.
            StoreError: as :meth:`nestvec.store.Store.open`.
        """
        store = Store.open(path, write=write, version=version)
        try:
            return cls(store, encoder=encoder)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Give files and locks back. Calling it twice is allowed."""
        self._store.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        with self._store.read() as snapshot:
            return len(snapshot)

    def __contains__(self, id_: object) -> bool:
        if not isinstance(id_, str):
            return False
        with self._store.read() as snapshot:
            return bool(snapshot.find([id_]))

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r}, {self.settings.space})"

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._store.path

    @property
    def space(self) -> Space:
        """The space of its vectors."""
        return self.settings.space

    @property
    def version(self) -> int:
        """Number of the version that a read sees now."""
        with self._store.read() as snapshot:
            return snapshot.version

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded when it is first needed.

        Raises:
            SpaceMismatchError: the model there now is not the one that made the collection.
            InputError: the collection was made without an encoder, or with one that cannot be found by name.
            MissingExtraError: it needs a library that is not installed.
        """
        with self._lock:
            if self._encoder is None:
                if not self._source:
                    raise InputError(
                        f"{self.path} must be opened with encoder= to encode anything: it was made with vectors, "
                        "or with an encoder that has no name."
                    )
                encoder = load(cast("str | Path", self._source), size=self.settings.size)
                if encoder.space.fingerprint != self.space.fingerprint and self.settings.size != "full":
                    # it may have been made before nestvec came with a ladder for that model
                    encoder = load(cast("str | Path", self._source), size=self.settings.size, ladder=None)
                self.space.require(encoder.space)
                self._encoder = encoder
            return self._encoder

    # ------------------------------------------------------------------ putting in

    def add(self, records: Iterable[Item], *, vectors: Vectors | None = None) -> IndexReport:
        """Add records; one whose id is there already replaces it, and costs nothing if it is the same.

        Records longer than the budget are split into passages. They are encoded and committed in batches,
        so a stream of any length may be added, and what was committed stays if the rest fails. Running the
        same call again goes on where the first stopped.

        Args:
            records: records; or strings, whose id is then a fingerprint of their text; or mappings with
                ``text`` and optionally ``id``, ``title`` and other fields, which become metadata.
            vectors: their vectors, one a record, if they are not to be encoded; records are not split then.

        Raises:
            SpaceMismatchError: the vectors are of another space.
            InputError: there is not one vector for each record.
            DiskError: what was committed before is safe.
        """
        with self._lock:
            if vectors is not None:
                return self._add_vectors(records, vectors)
            return Indexing(self._store, self.settings, self.encoder).run(from_items(records))

    def _add_vectors(self, records: Iterable[Item], vectors: Vectors) -> IndexReport:
        self.space.require(vectors.space)
        report, start = IndexReport(), time.monotonic()
        rows = list(from_items(records)(report.read))
        if len(rows) != len(vectors):
            raise InputError(f"there must be one vector a record, got {len(vectors)} and {len(rows)}. {report.read}")
        done = self._store.commit(rows, {ARRAY: as_searched(vectors.values, self.space)})
        report.encoded, report.removed, report.commits = done.added, done.removed, 1
        report.seconds = time.monotonic() - start
        return report

    def index(
        self,
        source: Source,
        *,
        prune: bool = False,
        limits: Limits | None = None,
        fields: Fields | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Read files, folders, globs or packages and add what is in them; only what changed is encoded.

        Args:
            source: as :func:`nestvec.inputs.read` takes it.
            prune: also take away every document that is not in ``source``.
            limits: caps on what is read.
            fields: which columns of tables are id, title and text.
            progress: called after every batch.

        Raises:
            InputError: there is nothing at ``source``.
        """
        with self._lock:
            indexing = Indexing(self._store, self.settings, self.encoder)
            report = indexing.run(from_sources(source, limits=limits, fields=fields), prune=prune, progress=progress)
            self._finder.refresh_graph(self._store)
            return report

    def survey(
        self,
        source: Source,
        *,
        limits: Limits | None = None,
        fields: Fields | None = None,
    ) -> Survey:
        """What :meth:`index` would do, without doing it: documents, passages, tokens, bytes, and how much is new."""
        return Indexing(self._store, self.settings, self.encoder).survey(
            from_sources(source, limits=limits, fields=fields)
        )

    def delete(self, ids: Iterable[str], *, documents: bool = True) -> int:
        """Take records away, as one version, and return how many were there.

        Args:
            ids: ids of records; or of documents, which takes all their passages.
            documents: False to take ids of records only.
        """
        ids = [ids] if isinstance(ids, str) else list(ids)
        with self._store.read() as snapshot:
            wanted = {child for id_ in ids for child in snapshot.children(id_)} if documents else set()
        return self._store.commit(remove=wanted | set(ids)).removed

    # ------------------------------------------------------------------ finding

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        where: Where | None = None,
        mode: Mode = "dense",
        per_document: bool = False,
    ) -> list[Result]:
        """The ``k`` records that fit a query best, best first; fewer if there are not as many.

        Args:
            query: what to look for.
            k: how many, at least 1.
            where: a metadata filter, see :mod:`nestvec.core.filters`; every record that meets it is considered.
            mode: ``dense`` by meaning, ``lexical`` by words (BM25).
            per_document: the best passage of each document only.

        Raises:
            FilterError: the filter is malformed.
            CorruptError: what had to be read is damaged.
        """
        return self.search_many([query], k, where=where, mode=mode, per_document=per_document)[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        where: Where | None = None,
        mode: Mode = "dense",
        per_document: bool = False,
    ) -> list[list[Result]]:
        """:meth:`search` for several queries at once, which is faster than one after the other."""
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}.")
        if mode not in ("dense", "lexical"):
            raise InputError(f"mode must be 'dense' or 'lexical', got {mode!r}.")
        condition = parse_filter(where) if where else None
        vectors = as_searched(self.encoder.encode_query(queries).values, self.space) if mode == "dense" else None
        with self._store.read() as snapshot:

            def rank(n: int) -> list[Ranking]:
                if vectors is None:
                    return [snapshot.match(query, n, where=condition) for query in queries]
                hits = self._finder.find(self._store, snapshot, vectors, n, condition)
                rows = zip(hits.ids.tolist(), hits.scores.tolist(), strict=True)
                return [list(zip(*row, strict=True)) for row in rows]

            return answer(snapshot, rank, k, per_document=per_document)

    def find(self, queries: Vectors, k: int = 10, *, where: Where | None = None) -> Hits:
        """The ``k`` nearest rows to each vector, as row ids: what an evaluation or another program wants.

        Raises:
            SpaceMismatchError: the queries are of another space.
        """
        self.space.require(queries.space)
        condition = parse_filter(where) if where else None
        with self._store.read() as snapshot:
            values = as_searched(queries.values, self.space)
            return self._finder.find(self._store, snapshot, values, k, condition)

    def get(self, ids: str | Sequence[str]) -> list[Record]:
        """The records with these ids, in this order.

        Raises:
            NotFoundError: one of them is not there.
        """
        with self._store.read() as snapshot:
            return snapshot.get([ids] if isinstance(ids, str) else list(ids))

    def passages(self, document: str) -> list[Record]:
        """The passages of a document in their order, or the one record that it is; none if it is not there."""
        with self._store.read() as snapshot:
            found = snapshot.get(snapshot.children(document))
        return sorted(found, key=lambda record: record.place.number if record.place else 0)

    def records(self) -> Iterator[Record]:
        """Every record, oldest first, never all in memory."""
        with self._store.read() as snapshot:
            for _, record in snapshot.rows():
                yield record

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """The stored vectors ``[n, d]`` of records, in this order.

        Raises:
            NotFoundError: one of them is not there.
        """
        with self._store.read() as snapshot:
            snapshot.get(ids)  # names the id that is missing
            found = snapshot.find(ids)
            rids = np.array([found[id_] for id_ in ids], np.int64)
            return Vectors(snapshot.vectors(ARRAY, rids).reshape(len(ids), self.space.dim), self.space)

    # ------------------------------------------------------------------ keeping

    def build_graph(self, *, recall: float = TARGET) -> GraphReport:
        """Build, or build again, a graph that answers in less time than a scan of everything, at a measured recall.

        Args:
            recall: of the 10 nearest, the share that the graph must find on a sample of the stored rows.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        with self._lock:
            return self._finder.build_graph(self._store, recall=recall)

    def versions(self) -> list[Version]:
        """The versions that can be opened, oldest first."""
        return self._store.versions()

    def compact(self) -> Compaction:
        """Give back the space of what was deleted or replaced; older versions cannot be opened afterwards."""
        with self._lock:
            done = self._store.compact()
            self._finder.refresh_graph(self._store)
            return done

    def verify(self, *, quick: bool = False) -> Verification:
        """Compare every checksum; see :func:`nestvec.store.verify`."""
        return verify(self.path, quick=quick)

    @classmethod
    def repair(cls, path: str | Path, *, encoder: Encoder | str | Path | None = None) -> Repair:
        """Make a damaged collection usable again, and encode again what has lost its vector.

        Args:
            path: its folder; it must not be open for writing.
            encoder: as in :meth:`open`.

        Returns:
            What was done; ``missing`` counts the rows without vectors, if those were brought along.

        Raises:
            CorruptError: ``collection.json`` itself is damaged.
        """
        done = repair(path)
        if done.missing.get(ARRAY):
            with cls.open(path, encoder=encoder, write=True) as collection:
                if not collection._source:  # noqa: SLF001  # its own class
                    return done  # vectors were brought along, and only who brought them can bring them again
                made = encode_missing(collection._store, collection.encoder)  # noqa: SLF001  # its own class
            done.actions.append(f"{made} rows were encoded again")
            done.missing.pop(ARRAY)
        return done

    def info(self) -> dict[str, JSON]:
        """What it is and how large, as plain data."""
        return describe(self._store, self.settings, self._finder)


def _sized(encoder: Encoder, size: Size | str | None) -> Encoder:
    """An encoder at a size; itself where none is asked for."""
    if size is None:
        return encoder
    at = getattr(encoder, "at", None)
    if at is None:
        if Size.parse(size) == Size():
            return encoder
        raise InputError(f"size must be left out for an encoder that has one size only, got {str(size)!r}.")
    return cast(Encoder, at(size))
