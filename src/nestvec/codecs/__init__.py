"""Vectors to codes and back: each codec a frozen value of arrays that encodes, decodes, scores, and states its size."""

from __future__ import annotations

from collections.abc import Mapping

from nestvec.core.catalog import Catalog
from nestvec.core.coding import Codec
from nestvec.core.portable import id_of
from nestvec.core.types import Array

CODECS = Catalog(
    "nestvec.codecs",
    (
        ("float16@1", "float16:Float16"),
        ("bfloat16@1", "bfloat16:BFloat16"),
        ("int8@1", "int8:ScalarInt8"),
        ("int8_rows@1", "int8_rows:RowInt8"),
        ("int4@1", "int4:ScalarInt4"),
        ("sign@1", "sign:Sign"),
        ("rabitq@1", "rabitq:RaBitQ"),
        ("residual@1", "residual:Residual"),
        ("pq@1", "pq:PQ"),
        ("opq@1", "opq:OPQ"),
        ("bebr@1", "bebr:BEBR"),
        ("lr2vq@1", "lr2vq:LR2VQ"),
        ("distill_vq@1", "distill_vq:DistillVQ"),
    ),
)
"""Classes with ``fit(sample, *, seed, …)``, by versioned name."""


def codec_from_arrays(arrays: Mapping[str, Array]) -> Codec:
    """The codec whose ``arrays()`` these are, of whichever kind.

    Raises:
        UnknownNameError: it is of a kind that this nestvec does not know.
        FormatError: these are not the arrays of a codec, or they do not fit together.
    """
    codec: Codec = CODECS[id_of(arrays)].from_arrays(arrays)
    return codec


__all__ = ["CODECS", "codec_from_arrays"]
