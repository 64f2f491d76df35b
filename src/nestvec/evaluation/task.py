"""A task as data: what it is called, where it comes from, and how its data is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nestvec.core.errors import InputError, UnknownNameError
from nestvec.evaluation.downsampling import Downsampling, downsample
from nestvec.evaluation.kind import Kind
from nestvec.evaluation.kinds import KINDS
from nestvec.evaluation.rows import find


@dataclass(frozen=True)
class Task:
    """A named task.

    Args:
        name: unique in a suite, and the name of its result file: letters, digits, ``_``, ``-`` and ``.`` only.
        kind: a name in :data:`nestvec.evaluation.kinds.KINDS`.
        path: a file or folder; relative to the folder of data sets.
        options: for the ``read`` of its kind.
        licence: of the data, as far as it is known.
        citation: authors and year.
        split: for result files.
        languages: of the texts, as MTEB writes them.
        downsampling: how its data is made smaller; None for all of it.

    Raises:
        InputError: the name cannot be that of a file.
        UnknownNameError: there is no such kind.
    """

    name: str
    kind: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "not stated"
    citation: str = ""
    split: str = "test"
    languages: tuple[str, ...] = ("eng-Latn",)
    downsampling: Downsampling | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name[0] == "." or not all(c.isalnum() or c in "_-." for c in self.name):
            raise InputError(f"a task's name must be of letters, digits, '_', '-' and '.', got {self.name!r}.")
        if self.kind not in KINDS:
            raise UnknownNameError(f"unknown kind of task {self.kind!r}; there are {', '.join(KINDS)}.")

    def load(self, data: Path | None = None) -> Kind:
        """Read its data.

        Args:
            data: the folder of data sets, for a task with a relative path.

        Raises:
            InputError: it is not there, or cannot be used; the message begins with the name of the task.
        """
        place = Path(self.path)
        if not place.is_absolute():
            place = (data or data_folder()) / place
        try:
            kind: Kind = KINDS[self.kind].read(place, **self.options)
        except InputError as cause:
            raise type(cause)(f"{self.name}: {cause}") from cause
        except OSError as cause:
            raise InputError(f"{self.name}: {place} must be readable, got {cause.strerror}.") from cause
        return kind if self.downsampling is None else downsample(kind, self.downsampling)

    def here(self, data: Path | None) -> bool:
        """Whether its data lies in the folder ``data``; nothing is read."""
        if data is None:
            return False
        try:
            return (data / self.path).is_dir() or find(data / self.path).is_file()
        except InputError:
            return False

    def downsampled(self, how: Downsampling | None = None) -> Task:
        """The same task with less data, and a name of its own: the figures of the two are not comparable."""
        return replace(self, name=f"{self.name}_downsampled", downsampling=how or Downsampling())

    @classmethod
    def own(cls, text: str) -> Task:
        """Make a task of one's own data from ``KIND=PATH``, such as ``retrieval=./my-beir`` or ``sts=pairs.tsv``.

        Raises:
            InputError: the text has another form.
            UnknownNameError: there is no such kind.
        """
        kind, _, path = text.partition("=")
        if not kind or not path:
            raise InputError(f"a task of your own must be written KIND=PATH, such as retrieval=./folder, got {text!r}.")
        place = Path(path).expanduser().resolve()
        name = "".join(c if c.isalnum() or c in "_-." else "-" for c in place.name.split(".")[0]) or "task"
        return cls(f"{kind}-{name}", kind if "@" in kind else f"{kind}@1", str(place), licence="your own")


def data_folder() -> Path:
    """The folder of data sets that the environment variable ``NESTVEC_DATA`` names.

    Raises:
        InputError: it is not set, or no folder.
    """
    found = os.environ.get("NESTVEC_DATA", "")
    if not found or not Path(found).is_dir():
        raise InputError(
            f"tasks of the catalogue are read from the folder in NESTVEC_DATA, which must exist; got {found!r}. "
            "Set it, or bring data of your own: --tasks retrieval=FOLDER."
        )
    return Path(found)
