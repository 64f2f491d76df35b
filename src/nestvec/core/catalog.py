"""Names of parts, and where inside their own family each is found."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from typing import Any

from nestvec.core.errors import InputError, UnknownNameError


class Catalog:
    """A family of parts by versioned name; a part's module is imported when it is first asked for.

    A name that came from a file or a request is only ever a key here. It never becomes a path.

    Args:
        family: the package that all members live in, such as ``nestvec.codecs``.
        members: ``(name, "module:attribute")`` pairs; the module is relative to the family.

    Raises:
        InputError: a name comes twice, has no ``@version``, or a module path leaves the family.
    """

    def __init__(self, family: str, members: tuple[tuple[str, str], ...]) -> None:
        self.family = family
        self._members: dict[str, str] = {}
        for name, target in members:
            module, _, attribute = target.partition(":")
            if name in self._members:
                raise InputError(f"names in the catalogue of {family} must be unique, got {name!r} twice.")
            if not name.partition("@")[2].isdigit():
                raise InputError(f"a name must end in a version such as 'int8@1', got {name!r}.")
            if not attribute or not all(part.isidentifier() for part in module.split(".")):
                raise InputError(f"{name!r} must point to 'module:attribute' inside {family}, got {target!r}.")
            self._members[name] = target

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> Any:
        """Import and return the part called ``name``.

        Raises:
            UnknownNameError: there is none; the nearest name is offered.
        """
        self.require(name)
        module, _, attribute = self._members[name].partition(":")
        return getattr(importlib.import_module(f"{self.family}.{module}"), attribute)

    def require(self, name: str) -> None:
        """Return if there is a part called ``name``; nothing is imported.

        Raises:
            UnknownNameError: there is none; the nearest name is offered.
        """
        if name not in self._members:
            near = difflib.get_close_matches(name, self._members, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(self._members)) or 'none'}."
            raise UnknownNameError(f"unknown name {name!r} in {self.family}; {hint}")
