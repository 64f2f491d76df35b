"""Which codec keeps vectors in how many bits: by default, or by name from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from nestvec.codecs import CODECS
from nestvec.core.coding import Codec
from nestvec.core.errors import InputError
from nestvec.core.size import Size
from nestvec.core.types import Matrix

DEFAULTS: Mapping[int, str] = {1: "rabitq@1", 2: "rabitq@1", 4: "int4@1", 8: "int8_rows@1", 16: "bfloat16@1"}
"""By bits a dimension. All of them find .99 of the ten nearest with at most 100 rescored, so the one whose scan took
least time there was taken (docs/guide/sizes-bits.md)."""

_EXACT = 32
_UPTO_8 = tuple(range(1, 9))
_BITS: Mapping[str, tuple[int, ...]] = {
    "float16@1": (16,),
    "bfloat16@1": (16,),
    "int8@1": (8,),
    "int8_rows@1": (8,),
    "int4@1": (4,),
    "sign@1": (1,),
    "rabitq@1": _UPTO_8,
    "residual@1": (1, 2, 4),
    "bebr@1": _UPTO_8,
    "pq@1": _UPTO_8,
    "opq@1": _UPTO_8,
    "lr2vq@1": _UPTO_8,
    "distill_vq@1": _UPTO_8,
}
_BY_BITS = ("rabitq@1", "residual@1", "bebr@1")  # fitted with bits a dimension; others, with bytes a vector


@dataclass(frozen=True)
class Coding:
    """How the vectors of a collection are kept in memory.

    Args:
        codec: its name in the catalogue.
        bits: a dimension.
    """

    codec: str
    bits: int

    def fit(self, sample: Matrix, *, seed: int = 0) -> Codec:
        """The codec, fitted on ``sample`` ``[n, d]``.

        Raises:
            InputError: the codec needs more rows, or has no such number of bits at this dim.
        """
        options: dict[str, int] = {}
        if self.codec in _BY_BITS:
            options["bits"] = self.bits
        elif len(_BITS[self.codec]) > 1:
            options["parts"] = max(1, sample.shape[1] * self.bits // 8)  # one byte each
        return cast(Codec, CODECS[self.codec].fit(sample, seed=seed, **options))


def choose(size: Size | str | None, codec: str | None = None) -> tuple[Size, Coding | None]:
    """The size with its bits settled, and the codec for them; none where vectors stay float32.

    Args:
        size: what was asked for; None for all.
        codec: its name in the catalogue; None for the default of that many bits.

    Returns:
        The size, ``bits`` None for 32; and the coding.

    Raises:
        UnknownNameError: there is no such codec.
        InputError: there is no codec of so many bits, or this one has not so many.
    """
    asked = Size.parse(size) if size is not None else Size()
    bits = asked.bits
    if codec is None:
        if bits is None or bits == _EXACT:
            return replace(asked, bits=None), None
        if bits not in DEFAULTS:
            others = [name for name, has in _BITS.items() if bits in has]
            instead = f" For {bits} name a codec that has them: {', '.join(others)}." if others else ""
            raise InputError(f"bits must be {_listed((*DEFAULTS, _EXACT))}, got {bits} ({asked}).{instead}")
        return asked, Coding(DEFAULTS[bits], bits)
    CODECS.require(codec)
    has = _BITS[codec]
    if bits is None:
        bits = has[0]
    if bits not in has:
        raise InputError(f"bits must be {_listed(has)} with {codec}, got {bits} ({asked}).")
    return replace(asked, bits=bits), Coding(codec, bits)


def _listed(numbers: tuple[int, ...]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last
