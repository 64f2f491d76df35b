"""A vocabulary of codes inside a transformer, in the place of its input embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.encoders.vocabulary import Vocabulary, find_vocabulary, load_vocabulary

try:
    import torch
    from torch import nn
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause


class CodedEmbedding(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Token ids to rows that are put together when they are asked for; the whole table never exists.

    Args:
        vocabulary: the codes. What is in memory is what it holds.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary_size, self.dim = len(vocabulary), vocabulary.dim
        for name in ("codes", "codebooks", "scale", "back", "centre"):
            tensor = vocabulary.tensors.get(name)
            made = None if tensor is None else torch.from_numpy(np.ascontiguousarray(tensor))
            self.register_buffer(name, made)

    def forward(self, ids: Any) -> Any:
        """``[...]`` ids -> ``[..., d]`` float32."""
        codes = self.codes[ids]  # [..., m]
        if self.codebooks is None:
            z = codes.float() * self.scale[ids].float().unsqueeze(-1)
        else:
            parts, words, width = self.codebooks.shape
            at = codes.long() + torch.arange(parts, device=codes.device) * words
            z = self.codebooks.view(parts * words, width)[at].float().flatten(-2)  # [..., m * w]
        if self.back is None:
            z = nn.functional.pad(z[..., : self.dim], (0, max(self.dim - z.shape[-1], 0)))
        else:
            z = z[..., : len(self.back)] @ self.back.float()
        return z if self.centre is None else z + self.centre.float()


def install(first: Any, folder: Path) -> None:
    """Give the transformer in the first module of a model the vocabulary that lies in its folder, if there is one.

    Raises:
        InputError: the vocabulary is of another width than the model.
    """
    path = find_vocabulary(folder)
    if path is None:
        return
    vocabulary = load_vocabulary(path)
    body = next((module for module in first.modules() if hasattr(module, "set_input_embeddings")), None)
    width = None if body is None else int(body.get_input_embeddings().weight.shape[1])
    if body is None or width != vocabulary.dim:
        raise InputError(f"{str(path)!r} must be as wide as the model's embeddings, {width}, got {vocabulary.dim}.")
    body.set_input_embeddings(CodedEmbedding(vocabulary).eval())
