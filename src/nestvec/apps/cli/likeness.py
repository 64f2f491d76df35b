"""``nestvec similar-models``: would another model find the same?"""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from nestvec.apps.cli.config import Quiet, option
from nestvec.apps.cli.console import AsJSON, Output
from nestvec.apps.cli.diagnosing import Seed
from nestvec.apps.cli.progress import waiting
from nestvec.apps.cli.vectors import FILES, lines, vectors_of
from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from nestvec.evaluation.diagnostics import Subject

_TEXTS = 2_000  # of a collection that are encoded with another model


def similar_models(
    first: Annotated[str, typer.Argument(metavar="A", help="A collection, vectors (FILE.npy), or a model.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same; items must be the same, in the same order.")],
    texts: Annotated[
        Path | None, typer.Option("--texts", metavar="FILE", help="For two models: what to encode, a text a line.")
    ] = None,
    k: Annotated[int, option("k", "-k")] = 10,
    seed: Seed = 0,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Compare two models by their vectors of the same items.

    CKA (the geometry as a whole), Jaccard@k (neighbours in common), and rank similarity (their order). Two collections
    are compared on the records that both have; a collection and a model, on a sample of its texts.

    Example: nestvec similar-models my.nest sentence-transformers/all-mpnet-base-v2
    """
    from nestvec.evaluation.diagnostics import compare

    out = Output(as_json=json, quiet=quiet)
    with ExitStack() as stack:
        sides = [stack.enter_context(vectors_of(side)) if _stored(side) else None for side in (first, second)]
        with waiting(out, "comparing"):
            a, b = _same_items((first, second), sides, texts, seed)
            found = compare(a, b, k=k, seed=seed)
    out.json(found.to_json())
    out.line(f"{found.first} and {found.second}")
    out.table([(figure.name, str(figure)) for figure in found.figures], indent=2)
    rows = [("from", found.basis), ("means", found.meaning), ("note", found.warning)]
    out.table([(name, text) for name, text in rows if text], indent=2)


def _stored(side: str) -> bool:
    return Path(side.partition(":")[0]).suffix in FILES or (Path(side) / "collection.json").is_file()


def _same_items(
    names: tuple[str, str], sides: Sequence[Subject | None], texts: Path | None, seed: int
) -> tuple[Subject, Subject]:
    """Both sides over the same items, in the same order."""
    a, b = sides
    if texts is not None and not (a is None and b is None):
        raise InputError("texts must be given for two models only; vectors that are stored have theirs.")
    if a is not None and b is not None:
        return _common(a, b)
    stored = a or b
    if stored is None:
        if texts is None:
            raise InputError(
                f"two models need texts to be compared on: give --texts FILE ({names[0]} and {names[1]} are no "
                "collections and no files of vectors)."
            )
        content = lines(texts)
        return _encoded(names[0], content), _encoded(names[1], content)
    if stored.texts is None:
        raise InputError(f"{stored.name} must have texts to be compared with a model; compare it with another file.")
    rows = stored.sample(_TEXTS, seed=seed)
    kept, content = _part(stored, rows), stored.texts(rows.tolist())
    return (kept, _encoded(names[1], content)) if a is not None else (_encoded(names[0], content), kept)


def _common(a: Subject, b: Subject) -> tuple[Subject, Subject]:
    if a.ids is None or b.ids is None:
        return a, b  # by position; compare() says so if the numbers differ
    there = {name: i for i, name in enumerate(b.ids(range(len(b))))}
    both = [(i, there[name]) for i, name in enumerate(a.ids(range(len(a)))) if name in there]
    if not both:
        raise InputError(f"{a.name} and {b.name} must have records in common, got none with the same id.")
    mine, theirs = (np.array(rows) for rows in zip(*both, strict=True))
    return _part(a, mine), _part(b, theirs)


def _part(subject: Subject, rows: np.ndarray) -> Subject:
    """Some items, in the order given."""
    from nestvec.evaluation.diagnostics import Subject

    order = np.argsort(rows, kind="stable")
    values = np.empty((len(rows), subject.dim), np.float32)
    values[order] = subject.take(rows[order])
    return Subject.from_array(values, name=subject.name)


def _encoded(name: str, texts: Sequence[str]) -> Subject:
    from nestvec.encoders import load
    from nestvec.evaluation.diagnostics import Subject

    return Subject.from_array(load(name).encode(texts).values, name=name)
