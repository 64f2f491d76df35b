"""Where a command finds vectors: in a collection, or in a file of numpy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from nestvec.evaluation.diagnostics import Subject

FILES = (".npy", ".npz")


@contextmanager
def vectors_of(place: str, *, texts: Path | None = None) -> Iterator[Subject]:
    """The vectors at ``place``: a collection, ``FILE.npy``, or ``FILE.npz``, ``FILE.npz:NAME`` where it holds several.

    Raises:
        InputError: it is none of these, or the file does not hold one matrix.
        StoreError: the collection cannot be read.
    """
    from nestvec.evaluation.diagnostics import Subject

    path, _, name = place.partition(":") if ".npz:" in place else (place, "", "")
    if Path(path).suffix not in FILES:
        if texts is not None:
            raise InputError(f"texts must be given for a file of vectors only, and {place} is none.")
        with Subject.from_collection(place) as subject:
            yield subject
        return
    yield Subject.from_array(_matrix(Path(path), name), name=place, texts=None if texts is None else lines(texts))


def lines(path: Path) -> list[str]:
    """The lines of a text file."""
    return path.read_text(encoding="utf-8").splitlines()


def _matrix(path: Path, name: str) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as cause:
        raise InputError(f"{path} must be an array that numpy wrote, without pickled objects: {cause}") from cause
    if isinstance(found, np.ndarray):
        return found
    with found:
        there = [key for key in found.files if found[key].ndim == 2 and found[key].dtype.kind in "fiu"]
        wanted = [name] if name else there
        if len(wanted) != 1 or wanted[0] not in found.files:
            raise InputError(
                f"{path} must hold one matrix, or be given as {path}:NAME, got "
                f"{', '.join(found.files) or 'nothing'}{f' and not {name}' if name else ''}."
            )
        return np.asarray(found[wanted[0]])
