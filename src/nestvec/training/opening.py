"""The instruction that a model puts before a document, put there in training too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from nestvec.core.errors import MissingExtraError
from nestvec.encoders.backbone import Stack
from nestvec.encoders.tokens import Tokens

try:
    import torch
    from torch import Tensor
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause


@final
@dataclass(frozen=True)
class Opening:
    """Tokens that stand in every row between the special ones at its beginning and the text.

    Rows are drawn, cut and counted without them, since a token table gives no vector to an instruction; the transformer
    reads them.

    Args:
        ids: of the instruction; none for a model without.
        at: special tokens before them.
        pooled: False where pooling leaves out the instruction, and the special tokens before it.
    """

    ids: tuple[int, ...] = ()
    at: int = 0
    pooled: bool = True

    @classmethod
    def of(cls, stack: Stack) -> Opening:
        """The instruction for documents of a model."""
        prompt = stack.prompts[0]
        if not prompt:
            return cls()
        encode = Tokens.of(stack.tokenizer).whole.encode
        around, bare = encode(prompt).ids, encode(prompt, add_special_tokens=False).ids
        at = next(i for i in range(len(around)) if around[i : i + len(bare)] == bare)
        return cls(tuple(bare), at, not stack.skips_prompt)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``[b, t]`` ids and mask of rows -> ``[b, t + p]``, as the transformer reads them."""
        if not self.ids:
            return ids, mask
        put = torch.tensor(self.ids, dtype=ids.dtype, device=ids.device).expand(len(ids), -1)
        return self._insert(ids, put), self._insert(mask, torch.ones_like(put, dtype=mask.dtype))

    def pool(self, mask: Tensor) -> Tensor:
        """``[b, t]`` mask of rows -> ``[b, t + p]``, True for the tokens that are pooled."""
        if not self.ids:
            return mask
        found = self._insert(mask, mask.new_ones((len(mask), len(self.ids))))
        if not self.pooled:
            found[:, : self.at + len(self.ids)] = 0
        return found

    def drop(self, states: Tensor) -> Tensor:
        """``[b, t + p, h]`` states -> ``[b, t, h]``, those of the tokens of rows."""
        if not self.ids:
            return states
        return torch.cat([states[:, : self.at], states[:, self.at + len(self.ids) :]], dim=1)

    def _insert(self, x: Tensor, put: Any) -> Tensor:
        return torch.cat([x[:, : self.at], put, x[:, self.at :]], dim=1)
