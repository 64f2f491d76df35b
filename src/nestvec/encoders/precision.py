"""Which precision is the fastest that is safe, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import MissingExtraError
from nestvec.core.types import Float32, Matrix
from nestvec.encoders import backbone
from nestvec.encoders.samples import SELF_CHECK
from nestvec.encoders.tokens import Tokens, encode_texts
from nestvec.kernels.cpu import cpu_features

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause

COSINE_FLOOR = 0.999  # below it, rankings of close documents begin to change
_FAST = ("amx_bf16", "avx512_bf16")  # without these a processor emulates bfloat16, slower than float32


@dataclass(frozen=True, eq=False)
class Choice:
    """A stack in the precision that was chosen.

    Args:
        stack: ready to run.
        precision: ``float32`` or ``bfloat16``.
        reason: a sentence.
    """

    stack: backbone.Stack
    precision: str
    reason: str


def choose(asked: str, *, stack: backbone.Stack, reopen: Callable[[], backbone.Stack], device: str) -> Choice:
    """Turn a float32 stack into the precision that was asked for, or the best that is safe for ``auto``.

    The stack that is given is used up; the one that is returned replaces it.

    Args:
        asked: ``auto``, ``float32`` or ``bfloat16``.
        stack: in float32.
        reopen: gives it again, for a model whose bfloat16 is not good enough.
        device: where it runs.
    """
    if asked == "float32":
        return Choice(stack, "float32", "float32: asked for.")
    if asked == "bfloat16":
        return Choice(backbone.to_bfloat16(stack), "bfloat16", "bfloat16: asked for.")
    has = _fast_bfloat16(device)
    if not has:
        return Choice(stack, "float32", f"float32: {device} has no fast bfloat16 ({' or '.join(_FAST)}).")
    exact = _sample(stack)
    lowest = float(cosines(exact, _sample(backbone.to_bfloat16(stack))).min())
    if lowest >= COSINE_FLOOR:
        return Choice(stack, "bfloat16", f"bfloat16: {has} is there, and the self-check reached cosine {lowest:.5f}.")
    reason = f"float32: the self-check in bfloat16 reached cosine {lowest:.5f} only, {COSINE_FLOOR} is needed."
    return Choice(reopen(), "float32", reason)


def cosines(a: Matrix, b: Matrix) -> Float32[np.ndarray, " n"]:
    """Cosine of each row of ``a`` with that of ``b``, ``[n]``; NaN where a row is not finite or has no length."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Float32[np.ndarray, " n"] = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return found


def _fast_bfloat16(device: str) -> str:
    """What makes bfloat16 fast on ``device``; empty if nothing is known to."""
    if device.startswith("cuda"):
        return "cuda" if torch.cuda.is_bf16_supported(including_emulation=False) else ""
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return ""
    return next((name for name in _FAST if name in cpu_features()), "")


def _sample(stack: backbone.Stack) -> Matrix:
    """The vectors of the built-in sentences, one batch; of a model without pooling, those of all their tokens."""
    tokens = Tokens.of(stack.tokenizer)
    found, _ = encode_texts(tokens.cut_at(stack.limits[0]), SELF_CHECK)
    arrays = tokens.pad(found)
    vectors, states = backbone.forward_tokens(stack, arrays)
    return states[arrays["attention_mask"].astype(np.bool_)] if vectors is None else vectors
