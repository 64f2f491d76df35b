"""A matrix as a grey picture inside a page: PNG, written with the standard library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from nestvec.core.types import Array

_SIDE = 480  # pixels: a page of some 100 kB, and more than a screen shows of one figure


def image(matrix: Array, *, alt: str) -> str:
    """An ``<img>`` of a square matrix, its lowest values black and its highest white.

    Values are spread by their ranks' ends, the lowest and highest hundredth cut off, so that one pair of equal texts
    does not leave the rest in the dark. A large matrix is shown by means of blocks, a small one by squares.

    Args:
        matrix: ``[n, n]``.
        alt: what it shows, without quotes.
    """
    shown = _blocks(np.asarray(matrix, np.float64))
    low, high = np.quantile(shown, (0.01, 0.99))
    levels = np.clip((shown - low) / max(high - low, 1e-12), 0, 1) * 255
    data = base64.b64encode(_png(np.rint(levels).astype(np.uint8))).decode()
    style = "width:100%;max-width:30rem;image-rendering:pixelated"
    return f'<img alt="{alt}" style="{style}" src="data:image/png;base64,{data}">'


def _blocks(matrix: Array) -> Array:
    """Means of blocks, at most :data:`_SIDE` of them a side."""
    n = len(matrix)
    if n <= _SIDE:
        return matrix
    starts = np.linspace(0, n, _SIDE, endpoint=False).astype(int)
    sizes = np.diff([*starts, n])
    summed = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)
    return np.asarray(summed / np.outer(sizes, sizes))


def _png(levels: Array) -> bytes:
    """``[h, w]`` uint8 as an 8-bit grey PNG (RFC 2083)."""
    height, width = levels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in levels)  # each row begins with its filter: none
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
