"""Durable writing, opening, and what a collection takes on the disk and in memory."""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import Figure, Outcome, data, times
from nestvec import Record
from nestvec.store import Store

_DIM = 384
_BATCH = 1024
_SETTINGS = {"arrays": {"dense": _DIM}}

# One process a size, so that its memory is its own; a stand-in for the encoder, so that only the way of a
# record through splitting, committing and indexing is measured.
_INDEX = """
import json, re, sys
from pathlib import Path
import numpy as np
from nestvec import Collection, Record, Space, Vectors

class Quick:
    space = Space("none", weights="none", pooling="none", dim=384)
    window = 254
    def encode(self, records, *, size=None, instruction=None):
        n = len(records)
        return Vectors(np.random.default_rng(n).normal(size=(n, 384)).astype(np.float32), self.space)
    encode_query = encode
    def stream(self, records): raise NotImplementedError
    def count_tokens(self, texts, /): return [len(t.split()) for t in texts]

def records(count):
    for i in range(count):
        yield Record(f"r{i}", f"Record number {i}. " + "Some words that stand for a description. " * 8, {"i": i})

peaks = []
def note(report):  # not getrusage: its peak begins with that of the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    peaks.append((report.encoded, peak))

with Collection.create(sys.argv[1], encoder=Quick()) as c:
    from nestvec.search.indexing import Indexing
    Indexing(c._store, c.settings, Quick()).run(lambda report: records(int(sys.argv[2])), progress=note)
print(json.dumps(peaks))
"""


def descriptions() -> Iterator[Record]:
    """Debian's package descriptions, or made-up ones where they are not there."""
    folder = data("debian_packages")
    if folder is None:
        words = [f"word{i}" for i in range(5000)]
        rng = np.random.default_rng(0)
        for i in range(63_436):
            yield Record(f"p{i}", " ".join(rng.choice(words, 60)), {"section": "net", "size": i})
        return
    with gzip.open(folder / "packages.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            kept = {name: row[name] for name in ("section", "priority", "size")}
            yield Record(row["name"], f"{row['summary']}\n\n{row['description']}", kept)


def _fill(path: Path, records: list[Record], values: np.ndarray) -> float:
    start = time.perf_counter()
    with Store.create(path, settings=_SETTINGS) as store:
        for i in range(0, len(records), _BATCH):
            store.commit(records[i : i + _BATCH], {"dense": values[i : i + _BATCH]})
        store.compact()
    return time.perf_counter() - start


def _raw(records: list[Record]) -> int:
    text = sum(len(r.text.encode()) + len(r.id.encode()) + len(json.dumps(dict(r.metadata))) for r in records)
    return text + len(records) * _DIM * 4


def _plain_write(path: Path, records: list[Record], values: np.ndarray) -> float:
    """The floor: the same bytes to two files, synced once a batch."""
    start = time.perf_counter()
    with path.with_suffix(".f32").open("wb") as vectors, path.with_suffix(".jsonl").open("w") as text:
        for i in range(0, len(records), _BATCH):
            vectors.write(values[i : i + _BATCH].tobytes())
            for r in records[i : i + _BATCH]:
                text.write(json.dumps({"id": r.id, "text": r.text, **r.metadata}) + "\n")
            for file in (vectors, text):
                file.flush()
                __import__("os").fsync(file.fileno())
    return time.perf_counter() - start


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _million(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    step = 65_536
    with Store.create(path, settings=_SETTINGS) as store:
        for i in range(0, rows, step):
            n = min(step, rows - i)
            batch = [Record(f"r{j}", f"row number {j} of many", {"j": j}) for j in range(i, i + n)]
            store.commit(batch, {"dense": rng.normal(size=(n, _DIM)).astype(np.float32)})


def _open(path: Path) -> None:
    with Store.open(path) as store, store.read() as snapshot:
        assert len(snapshot)
        snapshot.segments("dense")


def _growth(folder: Path, rows: int) -> tuple[float, list[tuple[int, float]]]:
    code = subprocess.run(
        [sys.executable, "-c", _INDEX, str(folder / "rss"), str(rows)], capture_output=True, text=True, check=True
    )
    peaks = [(n, mb) for n, mb in json.loads(code.stdout)]
    early = next(mb for n, mb in peaks if n >= rows // 4)
    return (peaks[-1][1] - early) / (rows * 3 / 4) * 100_000, peaks


def run(*, quick: bool) -> Outcome:
    """Measure in a temporary folder."""
    records = list(descriptions())[: 8_192 if quick else None]
    values = np.random.default_rng(0).normal(size=(len(records), _DIM)).astype(np.float32)
    rows_million = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        ours, plain = [], []
        for round_ in range(2 if quick else 3):
            shutil.rmtree(folder / "c", ignore_errors=True)
            ours.append(_fill(folder / "c", records, values))
            plain.append(_plain_write(folder / f"plain{round_}", records, values))
        size, raw = _size(folder / "c"), _raw(records)
        _million(folder / "m", rows_million)
        (opened,) = times(lambda: _open(folder / "m"), repeats=7, warmup=1)
        growth, peaks = _growth(folder, 20_000 if quick else 60_000)
    per_s = len(records) / statistics.median(ours)
    figures: dict[str, Figure] = {
        "rows_per_s_durable": per_s,
        "open_1m_s": statistics.median(opened),
        "overhead": size / raw - 1,
        "rss_growth_mb_per_100k": growth,
        "vs_plain_write": statistics.median(o / p for o, p in zip(ours, plain, strict=True)),
    }
    outcome = Outcome(figures, columns=("what", "value", "goal"))
    outcome.rows = [
        (f"rows/s, {len(records)} descriptions with 384 dims, commits of {_BATCH}", per_s, ""),
        ("  two plain files, synced as often", len(records) / statistics.median(plain), "the floor"),
        (f"open {rows_million} rows, s", figures["open_1m_s"], "<= .5"),
        ("bytes over raw vectors and text (full-text index included)", figures["overhead"], "<= .05"),
        ("  bytes a row", size / len(records), ""),
        (f"peak memory at {peaks[-1][0]} passages, MB", peaks[-1][1], ""),
        ("  growth in MB per 100,000 passages, after the first quarter", growth, "flat"),
    ]
    if quick:
        outcome.notes.append(f"quick: {rows_million} rows stand in for a million")
    return outcome
