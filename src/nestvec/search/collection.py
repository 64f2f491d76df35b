"""The object a user holds: records and their vectors on disk, found by meaning."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.filters import Filter, parse_filter
from nestvec.core.hits import Hits
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.core.types import JSON
from nestvec.core.vectors import MultiVectors, Vectors
from nestvec.inputs import Fields, Limits
from nestvec.search.answers import Ranking, answer
from nestvec.search.codes import CodesReport
from nestvec.search.coding import choose
from nestvec.search.columns import asked, with_several
from nestvec.search.creating import OVERLAP, Wish, settle
from nestvec.search.encoding import fitting, open_encoder, other_encoder
from nestvec.search.explaining import Explanation, explain
from nestvec.search.finder import Finder, GraphReport
from nestvec.search.indexing import (
    Indexing,
    IndexReport,
    Item,
    Progress,
    Source,
    Survey,
    add_vectors,
    from_items,
    from_sources,
)
from nestvec.search.narrowing import FunnelReport
from nestvec.search.resizing import Counts, Moved, Resized, Turn, recode, revector
from nestvec.search.result import Result
from nestvec.search.settings import ARRAY, RECALL, Settings, as_searched
from nestvec.search.several import Both, split
from nestvec.search.turning import turn
from nestvec.search.upkeep import describe, encode_missing
from nestvec.store import Compaction, Repair, Snapshot, Store, Verification, Version, repair, verify

Where = Mapping[str, JSON]
Mode = Literal["dense", "lexical"]


class Collection:
    """Records with their vectors, searchable by meaning; durable, versioned, and checked on the way in and out.

    Make one with :meth:`create` or :meth:`open`, and use it in a ``with`` block. Every method may be called
    from several threads. One process at a time may have it open for writing, any number for reading, and
    readers see each new version as soon as it is committed.
    """

    def __init__(self, store: Store, *, encoder: Encoder | str | Path | None) -> None:
        self._store = store
        self._taken: tuple[Mapping[str, JSON], Settings] = (store.settings, Settings.from_json(store.settings))
        self._source = self.settings.source if encoder is None else encoder
        self._encoder = fitting(encoder, self.settings) if isinstance(encoder, Encoder) else None
        self._finder = Finder(store)
        self._lock = threading.RLock()

    @classmethod
    def create(  # noqa: PLR0913  # one choice each, and all of them have a default
        cls,
        path: str | Path,
        *,
        encoder: Encoder | str | Path | None = "default",
        space: Space | None = None,
        budget: int | None = None,
        overlap: int = OVERLAP,
        size: Size | str | None = None,
        codec: str | None = None,
        recall: float = RECALL,
        funnel: bool = False,
    ) -> Collection:
        """Make an empty collection and open it for writing. What is given here holds until a :meth:`resize`.

        Args:
            path: a new or empty folder.
            encoder: an encoder; or ``default``, a model folder, or a hub id to load one from; or None, to
                bring vectors along with the records (then ``space`` says what they are).
            space: only with ``encoder=None``.
            budget: tokens a passage may have; None for as many as the encoder can see, 0 to never split records.
            overlap: tokens that two passages share where a section had to be cut.
            size: of the vectors, such as ``L3-d128-b1``; None for that of the encoder. With fewer than 32 bits a
                search scans codes in memory and scores the best of them by the vectors on the disk.
                ``v8``, ``v25%`` or ``vall`` keeps several vectors a record beside the single one; bits and codec are
                then theirs, 8 bits if nothing is said, and a search compares all of them by MaxSim.
            codec: what makes the codes, by its name in the catalogue; None for the default of so many bits.
            recall: share of the ten nearest rows that a search through codes or a funnel must find; it is measured.
            funnel: keep leading dimensions in bands of their own on the disk, and search by them first: for float32
                vectors of models whose leading dimensions say most. Nothing is held in memory.

        Raises:
            InputError: encoder and space are both given or both missing; the budget exceeds the encoder's window; the
                encoder has no such size; there is no codec of so many bits; a funnel is asked for together with fewer
                bits, or of vectors that are too short.
            MissingExtraError: the encoder needs a library that is not installed.
            StoreError: the folder has something in it, or cannot be written.
        """
        settings, made = settle(Wish(encoder, space, budget, overlap, size, codec, recall, funnel))
        return cls(Store.create(path, settings=settings.to_json()), encoder=made)

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
    def settings(self) -> Settings:
        """What it is: as it was opened, or as the last search found it after a resize."""
        return self._taken[1]

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
                if isinstance(self._source, Encoder):
                    self._encoder = fitting(self._source, self.settings)
                else:
                    self._encoder = open_encoder(self._source, self.settings)
            return self._encoder

    def _follow(self, snapshot: Snapshot) -> Settings:
        """The settings of a snapshot, taken over where they are not those of the one before."""
        told, before = self._taken
        if told == snapshot.state.settings:
            return before
        settings = Settings.from_json(snapshot.state.settings)
        with self._lock:
            if settings.space.fingerprint != before.space.fingerprint:
                self._encoder = None
            if settings.source != before.source:  # it was turned over to another encoder
                self._source = settings.source
            self._taken = (snapshot.state.settings, settings)
        return settings

    # ------------------------------------------------------------------ putting in

    def add(self, records: Iterable[Item], *, vectors: Vectors | MultiVectors | None = None) -> IndexReport:
        """Add records; one whose id is there already replaces it, and costs nothing if it is the same.

        Records longer than the budget are split into passages. They are encoded and committed in batches,
        so a stream of any length may be added, and what was committed stays if the rest fails. Running the
        same call again goes on where the first stopped.

        Args:
            records: records; or strings, whose id is then a fingerprint of their text; or mappings with
                ``text`` and optionally ``id``, ``title`` and other fields, which become metadata.
            vectors: their vectors, one a record or several, if they are not to be encoded; records are not split then.

        Raises:
            SpaceMismatchError: the vectors are of another space.
            InputError: there is not one vector for each record.
            DiskError: what was committed before is safe.
        """
        with self._lock:
            if vectors is not None:
                report = add_vectors(self._store, self.settings, records, vectors)
            else:
                items = from_items(records, rows=self.reads_rows)
                report = Indexing(self._store, self.settings, self.encoder).run(items)
            self._refresh()
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
            documents = from_sources(source, limits=limits, fields=fields, rows=self.reads_rows)
            report = indexing.run(documents, prune=prune, progress=progress)
            self._refresh()
            self._finder.refresh_graph()
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
            from_sources(source, limits=limits, fields=fields, rows=self.reads_rows)
        )

    @property
    def reads_rows(self) -> bool:
        """Whether the encoder reads whole rows of tables, and no texts out of them."""
        return bool(getattr(self.encoder, "reads_rows", False))

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
        tried = ""
        while True:
            made = asked(self.encoder, self.settings, queries) if mode == "dense" else None
            with self._store.read() as snapshot:
                settings = self._follow(snapshot)
                space = settings.searched
                if made is not None and made.space.fingerprint != space.fingerprint:
                    if tried == space.fingerprint:
                        space.require(made.space)
                    tried = space.fingerprint
                    continue  # the collection was resized since the queries were encoded

                def rank(
                    n: int, vectors: Vectors | Both | None = made, at: tuple[Snapshot, Settings] = (snapshot, settings)
                ) -> list[Ranking]:
                    if vectors is None:
                        return [at[0].match(query, n, where=condition) for query in queries]
                    hits = self._hits(*at, vectors, n, where=condition)
                    rows = zip(hits.ids.tolist(), hits.scores.tolist(), strict=True)
                    return [list(zip(*row, strict=True)) for row in rows]

                found = answer(snapshot, rank, k, per_document=per_document)
                return found if made is None else [self._explained(*some) for some in zip(queries, found, strict=True)]

    def _explained(self, query: str, results: list[Result]) -> list[Result]:
        """Results that can say why they were found."""
        return [replace(result, _why=partial(self.explain, query, result.id)) for result in results]

    def explain(self, query: str, id_: str) -> Explanation:
        """Which token of a query is matched with which token of a record, and how much each match adds.

        Where records keep one vector each, token vectors are made for the purpose, and the explanation says that the
        search does not compare them.

        Raises:
            NotFoundError: there is no such record.
            InputError: the encoder gives no vectors of tokens, as that of depth 0 does not, or does not name them.
        """
        return self.explain_many(query, [id_])[0]

    def explain_many(self, query: str, ids: Sequence[str]) -> list[Explanation]:
        """:meth:`explain` for several records at once, which is faster than one after the other."""
        with self._store.read() as snapshot:
            return explain(snapshot, self._follow(snapshot), self.encoder, query, ids)

    def _hits(
        self, snapshot: Snapshot, settings: Settings, queries: Vectors | MultiVectors | Both, k: int, *,
        where: Filter | None,
    ) -> Hits:  # fmt: skip
        if isinstance(queries, Vectors):
            return self._finder.find(snapshot, as_searched(queries.values, queries.space), k, where)
        if settings.several is None:
            raise InputError(f"{self.path} keeps one vector a record, and several came for a query; resize it first.")
        if isinstance(queries, MultiVectors):
            return self._finder.find_tokens(snapshot, settings.several, queries, k, where, m=settings.candidates)
        return self._finder.find_several(snapshot, settings.several, queries, k, where, m=settings.candidates)

    def find(self, queries: Vectors | MultiVectors, k: int = 10, *, where: Where | None = None) -> Hits:
        """The ``k`` nearest rows to each vector, as row ids: what an evaluation or another program wants.

        Where records keep several vectors, :class:`~nestvec.core.MultiVectors` are compared with all of them by MaxSim,
        and :class:`~nestvec.core.Vectors` with the single one that is kept beside them. Candidates for the former are
        found by the mean of the query's vectors, if the means of records lie where their single vectors do; of a model
        that projects its tokens they do not, and all rows are compared.

        Raises:
            SpaceMismatchError: the queries are of another space.
        """
        condition = parse_filter(where) if where else None
        with self._store.read() as snapshot:
            settings = self._follow(snapshot)
            (settings.space if isinstance(queries, Vectors) else settings.searched).require(queries.space)
            return self._hits(snapshot, settings, queries, k, where=condition)

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
            self._follow(snapshot)
            snapshot.get(ids)  # names the id that is missing
            found = snapshot.find(ids)
            rids = np.array([found[id_] for id_ in ids], np.int64)
            return Vectors(snapshot.vectors(ARRAY, rids).reshape(len(ids), self.space.dim), self.space)

    # ------------------------------------------------------------------ keeping

    def build_graph(self, *, recall: float = RECALL) -> GraphReport:
        """Build, or build again, a graph that answers in less time than a scan of everything, at a measured recall.

        Args:
            recall: of the 10 nearest, the share that the graph must find on a sample of the stored rows.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        with self._lock:
            return self._finder.build_graph(recall=recall)

    def resize(
        self,
        size: Size | str,
        *,
        codec: str | None = None,
        recall: float | None = None,
        candidates: int = 0,
        funnel: bool | None = None,
        graph: bool | None = None,
        encoder: Encoder | None = None,
        progress: Moved | None = None,
    ) -> Resized:
        """Turn the collection to another size, or over to another encoder, in place.

        Where only bits, codec or recall change, only codes are made anew. With another depth or dim all vectors are
        replaced: cut where the encoder gives the same by cutting, else encoded again from the stored texts. Readers
        see the old vectors until the new ones are all there, and then those; a stop in between leaves the old ones.
        Versions from before a change of vectors cannot be opened afterwards, and a graph is built again. To keep
        more or fewer vectors a record, all texts are encoded again, and the single vectors stay as they are; of vectors
        that were brought along only fewer can be kept.

        Args:
            size: such as ``L3-d128-b1`` or ``v8``; what it leaves out is turned fully up, but for ``v``: one vector.
            codec: as in :meth:`create`.
            recall: as in :meth:`create`; None to leave it.
            candidates: rescored by the vectors for ten results, or compared by their several vectors, such as a plan
                found to be enough: codes are then made however few rows there are, and ``recall`` is not asked for.
                0 to measure how many it takes.
            funnel: as in :meth:`create`; None to leave it, though fewer bits take its place. Vectors that are there
                already are laid out for it by the next :meth:`compact`.
            graph: whether to have one; None to have one if there is one.
            encoder: whose vectors take the place of all there are, such as that of a table which has learnt since;
                None for the one that it has.
            progress: called while vectors are replaced.

        Raises:
            InputError: the encoder has no such size, or there is none; there is no codec of so many bits; candidates
                are given for vectors that stay float32.
            MissingExtraError: a graph is asked for, and faiss is not installed; all else is done.
            DiskError: nothing was changed.
        """
        with self._lock:
            start, old, before = time.monotonic(), self.settings, self._finder.graph_target
            self._store.writer  # noqa: B018  # says so now if it is open for reading
            wanted, rest, named = split(size, codec)
            turned, coding = choose(rest or "full", named)
            wish = Turn(turned, coding.codec if coding else None, recall, 0 if wanted else candidates, funnel)
            brought, encoder = encoder, other_encoder(self._source, old, turned, given=encoder)
            base = self.encoder if encoder is None and self._source and wanted is not None else encoder
            new = with_several(wish.settings(old, encoder), wanted, codec, base, candidates=candidates)
            counts = Counts()
            if encoder is None and old.several == new.several:
                recode(self._store, old, new)
            elif old.several is not None or new.several is not None:
                counts = turn(self._store, old, new, base, progress)
            else:
                counts = revector(self._store, old, new, cast(Encoder, encoder), progress)
            with self._store.read() as snapshot:
                self._follow(snapshot)
                version = snapshot.version
            if encoder is not None:
                self._encoder, self._source = encoder, brought or self._source
            codes, narrowed = self._refresh()
            walked = self._finder.settle_graph(wanted=graph, target=before)
            seconds = time.monotonic() - start
            return Resized(new.size, new.codec, version, counts.encoded, counts.cut, seconds, codes, narrowed, walked)

    def _refresh(self) -> tuple[CodesReport | None, FunnelReport | None]:
        """Bring codes, or the funnel, up to the newest version."""
        has = self.settings
        self._finder.proxy.refresh(has.several, target=has.recall, m=has.candidates)
        codes = self._finder.refresh_codes(has.coding, target=has.recall, m=has.candidates)
        return codes, self._finder.refresh_funnel(wanted=has.funnel, target=has.recall)

    def versions(self) -> list[Version]:
        """The versions that can be opened, oldest first."""
        return self._store.versions()

    def compact(self) -> Compaction:
        """Give back the space of what was deleted or replaced; older versions cannot be opened afterwards."""
        with self._lock:
            done = self._store.compact()
            self._refresh()
            self._finder.refresh_graph()
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
        if done.missing:
            with cls.open(path, encoder=encoder, write=True) as collection:
                if not collection._source:  # noqa: SLF001  # its own class
                    return done  # vectors were brought along, and only who brought them can bring them again
                store = collection._store  # noqa: SLF001  # its own class
                made = encode_missing(store, collection.settings, collection.encoder)
            done.actions.append(f"{made} rows were encoded again")
            done.missing.clear()
        with cls.open(path, write=True) as collection:
            collection._refresh()  # noqa: SLF001  # its own class
        return done

    def info(self) -> dict[str, JSON]:
        """What it is and how large, as plain data."""
        with self._store.read() as snapshot:
            self._follow(snapshot)
        return describe(self._store, self.settings, self._finder)
