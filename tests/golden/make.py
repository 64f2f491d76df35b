"""Makes a golden collection of the present format: ``python tests/golden/make.py``.

Run it once for each released format, commit the folder, and never change it again: every later nestvec must
open it. ``test_golden.py`` says what has to be in it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

from nestvec.core import Place, Record
from nestvec.store import Store
from nestvec.store.schema import FORMAT

HERE = Path(__file__).parent
LONG = "A sentence that is long enough to be kept compressed, said again and again. " * 6


def records(start: int, stop: int) -> list[Record]:
    """Rows with everything that a row can have."""
    made = []
    for i in range(start, stop):
        place = Place("book", 10 * i, 10 * i + 9, ("Part one", "Chapter ü"), i) if i % 3 == 0 else None
        metadata = {"i": i, "half": i / 2, "tags": ["a", "b"][: i % 3], "deep": {"x": None, "y": i % 2 == 0}}
        text = f"record number {i} 日本語" if i % 2 else LONG + str(i)
        text = "007" if i == 9 else text  # text that looks like a number stays text
        made.append(
            Record(f"id {i}" if i != 4 else "ключ/4", text, metadata, title=f"Title {i}" if i % 4 else "", place=place)
        )
    return made


def vectors(start: int, stop: int) -> np.ndarray:
    """A vector that tells its row."""
    return np.arange(start, stop, dtype=np.float32)[:, None] + np.linspace(0, 1, 8, dtype=np.float32)


def make(path: Path) -> None:
    """Four versions: ten rows, two replaced, one removed, compacted and added to; and a derived file."""
    with Store.create(path, settings={"arrays": {"dense": 8}, "note": "golden"}) as store:
        store.commit(records(0, 10), {"dense": vectors(0, 10)}, commit_id="first")
        store.commit(records(2, 4), {"dense": vectors(102, 104)}, commit_id="second")
        store.commit(remove=["id 7"], commit_id="third")
        store.compact()
        store.commit(records(10, 12), {"dense": vectors(10, 12)}, commit_id="fifth")
        store.put_derived("index", b"\x00\x01derived" * 10, {"kind": "test"})


def make_resized(path: Path) -> None:
    """The same, turned to half its dims afterwards, and then to other settings."""
    make(path)
    with Store.open(path, write=True) as store:

        def half(rids: np.ndarray) -> np.ndarray:
            with store.read() as snapshot:
                return snapshot.vectors("dense", rids)[:, :4]

        store.rewrite({"arrays": {"dense": 4}, "note": "resized"}, {"dense": half})
        store.change_settings({"arrays": {"dense": 4}, "note": "settled"})
        store.put_derived("index", b"of the new vectors", {})


def make_banded(path: Path) -> None:
    """Vectors whose leading dimensions lie apart, with and without gaps in their row ids."""
    with Store.create(
        path, settings={"arrays": {"dense": 8}, "bands": {"dense": [2, 2, 4]}, "note": "banded"}
    ) as store:
        store.commit(records(0, 10), {"dense": vectors(0, 10)}, commit_id="first")
        store.commit(remove=["id 7"], commit_id="second")
        store.compact()
        store.commit(records(10, 12), {"dense": vectors(10, 12)}, commit_id="fourth")
        store.put_derived("index", b"beside bands", {})


if __name__ == "__main__":
    made = ((HERE / f"v{FORMAT}", make), (HERE / "resized", make_resized), (HERE / "bands", make_banded))
    for target, how in made:
        if target.exists():
            sys.stderr.write(f"{target} is there; a golden collection is made once\n")
            continue
        how(target)
        shutil.rmtree(target / "quarantine")  # empty, and git does not keep empty folders
        (target / "writer.lock").unlink()
