"""A workload whose every state is known beforehand, and how a collection is compared with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import NoCollectionError
from nestvec.core.filters import parse_filter
from nestvec.core.record import Record
from nestvec.store import Ragged, Snapshot, Store, verify
from nestvec.store import compact as compaction

DIM = 16
SETTINGS: dict[str, Any] = {"arrays": {"dense": DIM}}
BANDS = {"dense": [4, 4, 8]}
WIDTH = 3  # bytes of a code, where rows hold several


class BrokenPromiseError(Exception):
    """A promise of the store was not kept."""


def require(truth: object, what: str) -> None:
    """An assertion that survives ``python -O``."""
    if not truth:
        raise BrokenPromiseError(what)


Row = tuple[int, int]  # batch and number in it: they fix text, metadata and vector
Model = dict[str, Row]


def vector(row: Row) -> np.ndarray:
    """The vector ``[DIM]`` of a row."""
    return np.random.default_rng((row[0], row[1], 7)).standard_normal(DIM, dtype=np.float32)


def codes(rows: Iterable[Row]) -> Ragged:
    """The codes of rows: as many, from none to four, and such as each row says."""
    values = [np.frombuffer(np.random.default_rng((*row, 9)).bytes(WIDTH * (sum(row) % 5)), np.uint8) for row in rows]
    offsets = np.cumsum([0, *(len(some) // WIDTH for some in values)], dtype=np.int64)
    return Ragged(np.concatenate([np.zeros(0, np.uint8), *values]).reshape(-1, WIDTH), offsets)


def columns(rows: Iterable[Row], *, dim: int = DIM) -> dict[str, np.ndarray | Ragged]:
    """What rows hold in every array that there is."""
    some = list(rows)
    dense = np.stack([vector(row)[:dim] for row in some])
    return {"dense": dense, "tokens": codes(some)} if "ragged" in SETTINGS else {"dense": dense}


def record(name: str, row: Row) -> Record:
    """The record of a row."""
    text = f"batch {row[0]} row {row[1]} word{row[0] % 17} " + "filler " * (row[1] % 40)
    return Record(name, text, {"batch": row[0], "row": row[1], "tags": [f"t{row[0] % 5}"]}, title=f"Title {row[1]}")


def rows_of(batch: int) -> tuple[Model, list[str]]:
    """What a batch adds or replaces, and what it removes."""
    names = [f"r{batch}-{k}" for k in range(1 + batch % 5)] + [f"hot{batch % 3}", "cursor"]
    gone = [f"r{batch - 4}-0"] if batch % 2 else []
    return {name: (batch, k) for k, name in enumerate(names)}, gone


def after(model: Model, batch: int) -> Model:
    """The state after one more batch."""
    added, gone = rows_of(batch)
    return {name: row for name, row in model.items() if name not in gone} | added


def state_after(batch: int) -> Model:
    """The state after batches 0 to ``batch``."""
    model: Model = {}
    for number in range(batch + 1):
        model = after(model, number)
    return model


def apply(store: Store, batch: int) -> bool:
    """Commit a batch under its own commit id; True if it was there already."""
    added, gone = rows_of(batch)
    records = [record(name, row) for name, row in added.items()]
    return store.commit(records, columns(added.values()), remove=gone, commit_id=f"batch {batch}").repeated


@dataclass
class Difference:
    """How a snapshot differs from a model."""

    lost: int = 0
    extra: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def none(self) -> bool:
        """True if it does not."""
        return not (self.lost or self.extra or self.duplicated or self.wrong)


def compare(snapshot: Snapshot, model: Model) -> Difference:
    """Read everything in a snapshot, every way there is, and compare it with what must be there."""
    found = list(snapshot.rows())
    by_id = {r.id: (rid, r) for rid, r in found}
    out = Difference(len(model.keys() - by_id.keys()), len(by_id.keys() - model.keys()), len(found) - len(by_id))
    common = [name for name in model if name in by_id]
    for name in common:
        want, (_, got) = record(name, model[name]), by_id[name]
        if (got.text, got.title, dict(got.metadata)) != (want.text, want.title, dict(want.metadata)):
            out.wrong.append(f"record {name}")
    rids = np.array([by_id[name][0] for name in common], np.int64)
    if common:
        vectors = snapshot.vectors("dense", rids)
        dim = int(snapshot.state.settings["arrays"]["dense"])  # type: ignore[index,call-overload]  # JSON
        bad = (vectors != np.stack([vector(model[name])[:dim] for name in common])).any(axis=1)
        out.wrong += [f"vector {common[i]}" for i in np.flatnonzero(bad)]
        out.wrong += _compare_codes(snapshot, rids, [model[name] for name in common])
    if out.none:
        _compare_ways(snapshot, model, {name: by_id[name][0] for name in common}, out)
    return out


def _compare_codes(snapshot: Snapshot, rids: np.ndarray, rows: list[Row]) -> list[str]:
    if "ragged" not in SETTINGS:
        return []
    found, wanted = snapshot.several("tokens", rids), codes(rows)
    same = (found.offsets == wanted.offsets).all() and (found.values == wanted.values).all()
    return [] if same else ["codes"]


def _compare_ways(snapshot: Snapshot, model: Model, rids: dict[str, int], out: Difference) -> None:
    ways = {
        "count": (len(snapshot), len(model)),
        "find": (snapshot.find(model), rids),
        "filter": (
            snapshot.select(parse_filter({"row": {"$lt": 2}, "tags": "t1"})).tolist(),
            sorted(rids[n] for n, row in model.items() if row[1] < 2 and row[0] % 5 == 1),
        ),
        "words": (
            sorted(rid for rid, _ in snapshot.match("word3", len(model) + 9)),
            sorted(rids[n] for n, row in model.items() if row[0] % 17 == 3),
        ),
    }
    segments = snapshot.segments("dense")
    held = np.concatenate([np.zeros(0, np.int64), *(s.rows for s in segments)])
    ways["rows with vectors"] = (np.setdiff1d(held, snapshot.state.dead).tolist(), sorted(rids.values()))
    out.wrong += [name for name, (got, want) in ways.items() if got != want]


def collection_is(path: Path, *models: Model | None) -> int:
    """Which of the models an existing collection holds; it must open for writing, and verify.

    None among the models means that there may be no collection at all.
    """
    try:
        store = Store.open(path, write=True)
    except NoCollectionError:
        require(None in models, f"{path.name}: the collection is gone")
        return models.index(None)
    with store, store.read() as snapshot:
        found = [model is not None and compare(snapshot, model).none for model in models]
        if not any(found):
            differences = [compare(snapshot, model) for model in models if model is not None]
            raise BrokenPromiseError(f"neither the old nor the new state: {differences}")
    problems = verify(path).problems
    require(not problems, f"verify: {problems}")
    return found.index(True)


@contextlib.contextmanager
def merging_at(count: int) -> Iterator[None]:
    """Let small segments be merged as soon as there are ``count`` of them."""
    before = compaction._MERGE_AT  # noqa: SLF001  # no setting for users: 32 is right for all of them
    compaction._MERGE_AT = count  # noqa: SLF001
    try:
        yield
    finally:
        compaction._MERGE_AT = before  # noqa: SLF001
