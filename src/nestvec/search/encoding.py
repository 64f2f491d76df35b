"""The encoder of a collection, at its size: found again by name, or brought along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.size import Size
from nestvec.encoders import gives_several_only, load, load_multi
from nestvec.search.settings import Settings
from nestvec.tables.row_encoding import RowEncoder, read_saved


def open_encoder(source: str | Path, settings: Settings, **options: Any) -> Encoder:
    """The encoder that made a collection.

    Args:
        source: where it is now.
        settings: of the collection.
        options: more for :func:`nestvec.encoders.load`, such as its precision.

    Raises:
        SpaceMismatchError: the model there now is not the one that made the collection.
        InputError: it cannot be used, or has no such size.
        MissingExtraError: it needs a library that is not installed.
    """
    encoder = _load(source, settings.encoded, **options)
    if encoder.space.fingerprint != settings.space.fingerprint and settings.encoded != Size():
        # it may have been made before nestvec came with a ladder for that model
        encoder = _load(source, settings.encoded, ladder=None, **options)
    settings.space.require(encoder.space)
    return encoder


def fitting(encoder: Encoder, settings: Settings) -> Encoder:
    """An encoder that was brought along, at the size of the collection.

    Raises:
        SpaceMismatchError: it gives vectors of another space.
        InputError: it has no such size.
    """
    if encoder.space.fingerprint != settings.space.fingerprint and hasattr(encoder, "at"):
        encoder = at_size(encoder, settings.encoded)
    settings.space.require(encoder.space)
    return encoder


def other_encoder(
    source: Encoder | str | Path, settings: Settings, asked: Size, *, given: Encoder | None = None
) -> Encoder | None:
    """The encoder at another depth or dim than that of a collection, or another one; None if that is what it has.

    Args:
        source: an encoder, or where it is; empty where vectors were brought along.
        settings: of the collection.
        asked: the size; bits are no business of an encoder.
        given: an encoder to take the place of the one that made the collection.

    Raises:
        InputError: the encoder has no such size, or there is none.
    """
    turned = replace(asked, bits=None)
    if given is None and turned == settings.encoded:
        return None
    if given is None and not source:
        if turned in (Size(), Size(dim=settings.space.dim)):
            return None
        raise InputError(
            f"only bits can be changed where vectors were brought along, got {str(asked)!r}. Open the collection with "
            "the encoder that made them to change depth or dim."
        )
    chosen = source if given is None else given
    found = at_size(chosen, turned) if isinstance(chosen, Encoder) else load_at(chosen, turned)
    return None if found.space.fingerprint == settings.space.fingerprint else found


def load_at(source: str | Path, size: Size, **options: Any) -> Encoder:
    """An encoder by name at a size, bits left out; options and errors are those of :func:`nestvec.encoders.load`."""
    return _load(source, replace(size, bits=None), **options)


def _load(source: str | Path, size: Size, **options: Any) -> Encoder:
    """What lies at ``source``: an encoder of rows, one made for late interaction, or else one of texts."""
    saved = read_saved(source)
    if saved is None:
        if gives_several_only(source):
            return cast(Encoder, load_multi(source, size=replace(size, vectors="all"), **options))
        found: Encoder = load(source, size=size, **options)
        return found
    text = None if saved.text is None else load(saved.text[0] or "default", size=saved.text[1], **options)
    return at_size(RowEncoder.load(source, text_encoder=text), size)


def at_size(encoder: Encoder, size: Size) -> Encoder:
    """An encoder at a size; bits are no business of its own.

    Raises:
        InputError: it has no such size.
    """
    asked = replace(size, bits=None)
    if asked.many:
        raise InputError(f"a collection of single vectors must have a size of one vector an item, got {size}.")
    at = getattr(encoder, "at", None)
    if at is not None:
        return cast(Encoder, at(asked))
    if asked == Size():
        return encoder
    raise InputError(f"size must be full or bits alone for an encoder that has one size only, got {str(size)!r}.")
