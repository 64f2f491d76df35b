"""What a size means for a model: which sizes there are, and the space that each of them makes. No torch here."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from nestvec.core import Size, Space
from nestvec.core.errors import InputError


def resolve(size: Size | str | None, *, depth: int | None, dim: int, name: str) -> Size:
    """``size`` with every dial that is fully up as ``None``; ``vectors`` and ``bits`` as they came.

    Args:
        size: what was asked for; None for all.
        depth: layers of the model, None where they are not known.
        dim: of a full vector.
        name: what people call the model, for messages.

    Raises:
        InputError: the size is not one that the model has; the message names those it has.
    """
    asked = Size.parse(size) if size is not None else Size()
    if asked.many:
        raise InputError(f"vectors must be 1, which is all that {name} gives an item, got {asked.vectors} ({asked}).")
    if asked.dim is not None and asked.dim > dim:
        raise InputError(f"dim must be 1 to {dim}, which is what {name} has, got {asked.dim} ({asked}).")
    if asked.depth is not None and depth is not None and asked.depth > depth:
        raise InputError(f"depth must be 0 to {depth}, the layers that {name} has, got {asked.depth} ({asked}).")
    return replace(
        asked,
        depth=None if asked.depth == depth else asked.depth,
        dim=None if asked.dim == dim else asked.dim,
    )


def smaller_space(space: Space, size: Size, *, dim: int, ladder: str = "") -> Space:
    """The space of a model's vectors at another size: its own, so that two sizes never meet silently.

    Depth, dim and ladder decide a vector; bits do not (they are what a codec makes of it), and neither does
    ``vectors``, of which there is one.

    Args:
        space: of the model at full size.
        size: as :func:`resolve` gives it.
        dim: of the vectors.
        ladder: fingerprint of what a ladder added, empty if it added nothing.
    """
    turned = Size(depth=size.depth, dim=size.dim)
    if turned == Size():
        return space
    what = f"{space.weights}\0{turned}\0{ladder}"
    return replace(
        space,
        encoder=f"{space.encoder}@{turned}",
        weights=hashlib.sha256(what.encode()).hexdigest()[:32],
        dim=dim,
        unit=space.unit or space.metric == "cosine",
    )
