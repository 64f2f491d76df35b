"""The full model as a teacher: rows of tokens to vectors, and the neighbours of every text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Array, Matrix
from nestvec.encoders.depth import find_layers
from nestvec.training.corpus import Corpus
from nestvec.training.opening import Opening
from nestvec.training.sampling import Rows, Special, windows
from nestvec.training.student import hidden_states

try:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model that is not trained.

    Args:
        modules: of sentence-transformers, one after the other; the first holds the transformer.
        body: the transformer, on its device.
        device: where it is.
        narrow: True to multiply in bfloat16.
        norm: path in ``body`` of the norm after the last layer; empty where there is none.
        opening: what the model puts before a document; rows come without it.
    """

    modules: tuple[Any, ...]
    body: Any
    device: str
    narrow: bool
    norm: str = ""
    opening: Opening = field(default_factory=Opening)

    @classmethod
    def of(
        cls, modules: tuple[Any, ...], *, device: str, narrow: bool, norm: str = "", opening: Opening | None = None
    ) -> Teacher:
        """Freeze the modules of a model and move them to ``device``."""
        for module in modules:
            module.to(device).eval().requires_grad_(requires_grad=False)
        return cls(modules, body_of(modules[0]), device, narrow, norm, opening or Opening())

    def states(self, ids: Tensor, mask: Tensor) -> tuple[Any, Tensor]:
        """States after the embeddings and every layer, and the vectors ``[b, d]`` float32."""
        with torch.no_grad(), self.autocast():
            states = hidden_states(self.body, *self.opening.read(ids, mask), norm=self.norm)
        return states, self._finish(states[-1], mask)

    def vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """``[b, t]`` ids and mask -> ``[b, d]`` float32."""
        return self.read(ids, mask)[0]

    def read(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``[b, t]`` ids and mask -> vectors ``[b, d]`` and the states of tokens ``[b, t, h]``, float32."""
        read, seen = self.opening.read(ids, mask)
        with torch.no_grad(), self.autocast():
            states = self.body(input_ids=read, attention_mask=seen.long()).last_hidden_state
        return self._finish(states, mask), self.opening.drop(states).float()

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """Token states and the mask of rows -> ``[b, h]``, as the model itself pools."""
        features = {"token_embeddings": states, "attention_mask": self.opening.pool(mask).long()}
        return self.modules[1](features)["sentence_embedding"]

    def autocast(self) -> Any:
        """The context in which a model is run."""
        return torch.autocast(self.device.partition(":")[0], dtype=torch.bfloat16, enabled=self.narrow)

    def _finish(self, states: Tensor, mask: Tensor) -> Tensor:
        pooled = self.opening.pool(mask).long()
        features: dict[str, Any] = {"token_embeddings": states.float(), "attention_mask": pooled}
        with torch.no_grad():
            for module in self.modules[1:]:
                features = module(features)
        return features["sentence_embedding"].float()


def body_of(first: Any) -> Any:
    """The transformers model inside the first module of a sentence-transformers model.

    Raises:
        InputError: there is none that says how many layers it has.
    """
    for module in first.modules():
        if isinstance(module, PreTrainedModel) and hasattr(module.config, "num_hidden_layers"):
            return module
    raise InputError(f"learning needs a transformer with layers, got {type(first).__name__} without any.")


def norm_of(stack: Any) -> str:
    """Path, inside the transformer of a stack, of the norm after its last layer; empty where there is none.

    Raises:
        InputError: the layers of the model cannot be found.
    """
    first = stack.modules[0]
    norm = find_layers(stack).norm
    prefix = next(path for path, module in first.named_modules() if module is body_of(first))
    return norm.removeprefix(f"{prefix}.") if prefix else norm


def to_device(rows: Rows, device: str) -> tuple[Tensor, Tensor]:
    """``ids`` and ``mask`` as tensors."""
    return torch.from_numpy(rows.ids).to(device), torch.from_numpy(rows.mask).to(device)


def in_order(corpus: Corpus, *, width: int, tokens: int) -> Iterator[Array]:
    """Positions of texts, those of like length together, in batches of about ``tokens`` tokens."""
    lengths = np.minimum(corpus.lengths, width) + 2
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def encode_corpus(teacher: Teacher, corpus: Corpus, special: Special, *, width: int, tokens: int) -> Matrix:
    """Vectors of the beginnings of all texts, ``[n, d]`` float32."""
    out: Matrix | None = None
    for batch in in_order(corpus, width=width, tokens=tokens):
        found = teacher.vectors(*to_device(windows(corpus, special, width=width, rows=batch), teacher.device))
        if out is None:
            out = np.empty((len(corpus), found.shape[1]), np.float32)
        out[batch] = found.cpu().numpy()
    return out if out is not None else np.empty((0, 0), np.float32)


def nearest(vectors: Matrix, *, k: int, device: str, block: int = 1024) -> Array:
    """``[n, k]`` int32, the rows with the highest inner product, a row itself left out; ties in no set order.

    Vectors that are almost the same (above 0.98) come last: they are copies, and tell a student nothing.
    """
    k = min(k, len(vectors) - 1)
    everything = torch.from_numpy(vectors).to(device)
    if device.startswith("cuda"):
        everything = everything.half()
    out = np.empty((len(vectors), k), np.int32)
    for start in range(0, len(vectors), block):
        scores = (everything[start : start + block] @ everything.T).float()
        scores[torch.arange(len(scores)), torch.arange(start, start + len(scores))] = -2
        scores = torch.where(scores > 0.98, scores - 2, scores)
        out[start : start + block] = scores.topk(k, dim=1).indices.cpu().numpy()
    return out
