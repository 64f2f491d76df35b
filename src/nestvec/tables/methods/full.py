"""A row for every id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes


@dataclass(frozen=True)
class Full:
    """``row(id) = E[id]``: every id has its own row. The yardstick.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
    """

    sizes: Sizes
    dim: int
    seed: int = 0

    id: ClassVar[str] = "full@1"

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob | None:
        """None: there is nothing to choose."""
        return None

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(self.sizes.total, self.dim)}

    def locate(self, ids: Ids) -> Places:
        """The id itself."""
        return {"rows": ids.flat[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is."""
        return read.rows("rows")[:, 0]
