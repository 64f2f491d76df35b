"""Checkpoints made for late interaction, opened and read off: sentence-transformers' multi-vector form, and PyLate's.

sentence-transformers reads both; what it says about markers, augmentation and masks is kept in a
:class:`~nestvec.encoders.late.Late`, and the modules run as they are.

Source: Khattab and Zaharia 2020 (arXiv:2004.12832); Chaffin and Sourty 2025 (arXiv:2508.03555), for PyLate's folders.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.encoders import backbone
from nestvec.encoders.late import Augmentation, Late, check_padding
from nestvec.encoders.tokens import Tokens

try:
    from sentence_transformers import MultiVectorEncoder as Checkpoint
except ImportError as cause:
    raise MissingExtraError("A checkpoint made for late interaction", "text") from cause

_RUN = ("Transformer", "Dense", "Normalize")
_MASK = "MultiVectorMask"  # says which vectors are kept; Late does that here, before anything is copied


def open_late(folder: Path, *, device: str) -> tuple[backbone.Stack, Late]:
    """Open a folder: the modules that make token vectors, and how texts are read.

    Raises:
        InputError: it cannot be opened, or is built in a way that is not run here.
    """
    model = backbone.open_model(folder, device=device, kind=Checkpoint)
    names = [type(module).__name__ for module in model]
    modules = [module for module in model if type(module).__name__ in _RUN]
    masks = [module for module in model if type(module).__name__ == _MASK]
    first = modules[0] if modules else None
    _check_supported(folder, first, names, masks)
    late = _late(model, first, masks[-1] if masks else None)
    late = replace(late, unit=type(modules[-1]).__name__ == "Normalize")
    stack = backbone.Stack(
        modules=tuple(modules),
        tokenizer=model.tokenizer,
        prompts=late.prompts,
        limits=late.limits,
        pooling="tokens",
        metric="cosine" if late.unit else "dot",
        dim=1,
        unit=late.unit,
        truncate_dim=None,
        skips_prompt=False,
        device=device,
    )
    check_padding(Tokens.of(model.tokenizer), late)
    return replace(stack, dim=width_of(stack)), late


def width_of(stack: backbone.Stack) -> int:
    """Numbers in a token vector, whatever modules decide it."""
    probe = stack.tokenizer("width", return_tensors="np")
    arrays = {name: np.asarray(probe[name], np.int64) for name in ("input_ids", "attention_mask")}
    return int(backbone.forward_tokens(stack, arrays)[1].shape[2])


def _late(model: Any, first: Any, mask: Any) -> Late:
    """What the checkpoint says of reading; limits and marker tokens are those that sentence-transformers applies."""
    whole = first.max_seq_length or max(backbone.limits_of(first))
    document, query = (min(limit, whole) for limit in backbone.limits_of(first))
    said = first.query_expansion
    extra = None
    if said is not None:
        token = said["token"]
        known = model.tokenizer.mask_token_id if token is None else model.tokenizer.convert_tokens_to_ids(token)
        fixed = said["strategy"] == "fixed"
        extra = Augmentation(int(known), min(int(said["length"]), whole), fixed=fixed, attended=bool(said["attend"]))
        query = extra.length if fixed else max(query, extra.length)
    left_out = (_left_out(mask, "document", model.tokenizer), _left_out(mask, "query", model.tokenizer))
    return Late(backbone.prompts_of(model), (document, query), left_out, extra)


def _left_out(mask: Any, role: str, tokenizer: Any) -> tuple[int, ...]:
    """Ids of the words that a mask drops; words that are no token of their own are not dropped."""
    if mask is None or role not in mask.skiplist_tasks:
        return ()
    found = {word: tokenizer.convert_tokens_to_ids(word) for word in mask.skiplist_words}
    unknown = {None} if tokenizer.unk_token in found else {None, tokenizer.unk_token_id}
    return tuple(sorted(int(i) for i in {*found.values()} - unknown))


def _check_supported(folder: Path, first: Any, names: list[str], masks: list[Any]) -> None:
    """Refuse what would give other vectors than sentence-transformers gives."""
    wrong = ""
    settings = getattr(first, "processing_kwargs", None) or {}
    if names[0] != "Transformer" or set(names) - {*_RUN, _MASK}:
        wrong = f"the modules {', '.join(names)}"
    elif not getattr(first.tokenizer, "is_fast", False):
        wrong = f"the tokenizer {type(first.tokenizer).__name__}, which has no fast form"
    elif "message" in getattr(first, "modality_config", {}):
        wrong = "a chat template around each text"
    elif settings.get("text") or settings.get("common"):
        wrong = "settings of its own for tokenising (processing_kwargs)"
    elif any(mask.keep_only_token_ids for mask in masks):
        wrong = "vectors of image patches only"
    if wrong:
        raise InputError(
            "a model made for late interaction must be one Transformer with a fast tokenizer and projections of its "
            f"tokens, got {wrong} in {str(folder)!r}. Encode with sentence-transformers, and give nestvec the vectors."
        )
