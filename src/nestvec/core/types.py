"""Array types with their shapes, for people, for mypy, and, in the tests, for every call.

jaxtyping takes a fifth of a second to import, so outside the test suite the names below are
stand-ins that give back the plain array type. The tests set ``NESTVEC_CHECK_SHAPES`` before
importing nestvec, and then every annotated call is checked by beartype.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING or os.environ.get("NESTVEC_CHECK_SHAPES"):
    from jaxtyping import Bool, Float32, Float64, Int64, Shaped, UInt8
else:

    class _Plain:
        """``Float32[np.ndarray, "n d"]`` is ``np.ndarray``."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float32 = Float64 = Int64 = Shaped = UInt8 = _Plain

Array = np.ndarray
Matrix = Float32[np.ndarray, "n d"]

JSON = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What a metadata value may be."""

__all__ = ["JSON", "Array", "ArrayLike", "Bool", "Float32", "Float64", "Int64", "Matrix", "Shaped", "UInt8"]
