"""A sentence-transformers model, read once and understood: its modules, prompts, limits, and one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Float32, Int64, Matrix
from nestvec.encoders.coded import install

try:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause

_NO_LIMIT = 10**6  # transformers writes 1e30 where a tokenizer has no limit
_ONE_THREAD = 128 * 384**2  # tokens times the square of the width, which is what a layer multiplies
_PASSAGE_PROMPTS = ("document", "passage", "corpus")  # the order in which encode_document looks


@dataclass(frozen=True, eq=False)
class Stack:
    """What an encoder needs to know of a model.

    Args:
        modules: run one after the other; the first is the transformer.
        tokenizer: of the transformer, with a fast backend.
        prompts: put before a document, and before a query.
        limits: tokens that fit, special tokens included, for a document and for a query.
        pooling: how token states become one vector.
        metric: how vectors are compared.
        dim: of a vector.
        unit: True where the last module makes length 1.
        truncate_dim: leading dimensions that the model's configuration keeps, ``None`` for all.
        skips_prompt: True where pooling leaves the prompt's tokens out.
        device: where the modules are.
    """

    modules: tuple[Any, ...] = field(repr=False)
    tokenizer: Any = field(repr=False)
    prompts: tuple[str, str]
    limits: tuple[int, int]
    pooling: str
    metric: Literal["cosine", "dot"]
    dim: int
    unit: bool
    truncate_dim: int | None
    skips_prompt: bool
    device: str


def open_model(folder: Path, *, device: str, kind: Any = SentenceTransformer) -> Any:
    """The ``SentenceTransformer`` in a folder, in float32, quietly, without running code that lies there.

    Args:
        folder: of the model.
        device: where it is to run.
        kind: another class of sentence-transformers to open it with.

    Raises:
        InputError: the folder is not a model that sentence-transformers can open.
    """
    settings = {"use_safetensors": True, "torch_dtype": torch.float32}
    try:
        with _no_progress_bars():
            model = kind(
                str(folder), device=device, trust_remote_code=False, local_files_only=True, model_kwargs=settings
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, SafetensorError) as cause:
        why = str(cause).strip().splitlines() or [""]
        raise InputError(
            f"a model folder must be one that sentence-transformers opens without running its code, got "
            f"{str(folder)!r}: {type(cause).__name__}: {why[0]:.200}"
        ) from cause
    install(model[0], folder)
    return model.eval()


def open_stack(folder: Path, *, device: str) -> Stack:
    """Open a model folder and read off what it does.

    Raises:
        InputError: it cannot be opened, or is built in a way that this encoder does not run.
    """
    model = open_model(folder, device=device)
    modules = tuple(model)
    names = [type(module).__name__ for module in modules]
    first = modules[0]
    _check_supported(folder, first, names)
    pools = [module for module in modules if type(module).__name__ == "Pooling"]
    kept = model.truncate_dim
    document, query = limits_of(first)
    stack = Stack(
        modules=modules,
        tokenizer=first.tokenizer,
        prompts=prompts_of(model),
        limits=(document, query),
        pooling="+".join(_pooling(pool) for pool in pools) or "none",
        metric=_metric(folder, model),
        dim=1,
        unit=names[-1] == "Normalize" and kept is None,
        truncate_dim=kept,
        skips_prompt=any(not getattr(pool, "include_prompt", True) for pool in pools),
        device=device,
    )
    probe = first.tokenizer("width", return_tensors="np")  # the output's width, whatever modules decide it
    arrays = {name: np.asarray(probe[name], np.int64) for name in ("input_ids", "attention_mask")}
    width = forward(stack, arrays, prompt_length=None).shape[1]
    return Stack(**{**vars(stack), "dim": width})


class Bfloat16Linear(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """``y = x W' + b`` multiplied in bfloat16, float32 outside it.

    Args:
        exact: the float32 layer to stand in for.
        narrow: leave ``y`` in bfloat16, for an activation function that follows at once.
    """

    def __init__(self, exact: Any, *, narrow: bool) -> None:
        super().__init__()
        self.register_buffer("weight", exact.weight.detach().to(torch.bfloat16))
        self.register_buffer("bias", None if exact.bias is None else exact.bias.detach().to(torch.bfloat16))
        self.narrow = narrow

    def forward(self, x: Any) -> Any:
        """``[..., i]`` -> ``[..., o]``."""
        y = torch.nn.functional.linear(x.to(torch.bfloat16), self.weight, self.bias)
        return y if self.narrow else y.float()


def to_bfloat16(stack: Stack) -> Stack:
    """The same stack with the linear layers of the transformer in bfloat16, changed in place.

    Sums between layers, norms and attention stay in float32. With all of the transformer in bfloat16, 1.4
    times as fast, a text of a few tokens moved by 0.0026 with the company it was padded in; so it moves by 0.0007.
    """
    for parent in list(stack.modules[0].modules()):
        # In the BERT family nothing but the activation reads what this layer gives.
        before_activation = type(parent).__name__.endswith("Intermediate") and hasattr(parent, "intermediate_act_fn")
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear:
                narrow = before_activation and name == "dense"
                setattr(parent, name, Bfloat16Linear(child, narrow=narrow))
    return stack


def forward(stack: Stack, arrays: dict[str, Int64[np.ndarray, "b t"]], *, prompt_length: int | None) -> Matrix:
    """One batch through the stack: ``[b, t]`` ids and masks -> ``[b, d]`` float32.

    The states of tokens are turned to float32 before they are pooled, whatever the transformer ran in.
    """
    features = _features(stack, arrays, prompt_length=prompt_length)
    return cast("Matrix", features["sentence_embedding"][:, : stack.truncate_dim].float().cpu().numpy())


def forward_tokens(
    stack: Stack, arrays: dict[str, Int64[np.ndarray, "b t"]], *, prompt_length: int | None = None
) -> tuple[Matrix | None, Float32[np.ndarray, "b t h"]]:
    """One batch through the stack, once: its vectors ``[b, d]``, None if it does not pool, and its token states."""
    features = _features(stack, arrays, prompt_length=prompt_length)
    vectors = features.get("sentence_embedding")
    found = None if vectors is None else vectors[:, : stack.truncate_dim].float().cpu().numpy()
    return found, features["token_embeddings"].float().cpu().numpy()


def _features(stack: Stack, arrays: dict[str, Int64[np.ndarray, "b t"]], *, prompt_length: int | None) -> Any:
    """What the modules leave behind, ``token_embeddings`` in float32 among it."""
    with torch.inference_mode(), _threads_for(arrays["input_ids"].size, stack):
        features: dict[str, Any] = {name: torch.from_numpy(x).to(stack.device) for name, x in arrays.items()}
        features["modality"] = "text"
        if prompt_length is not None:
            features["prompt_length"] = prompt_length
        features = stack.modules[0](features)
        for name in ("token_embeddings", "sentence_embedding"):
            if name in features:
                features[name] = features[name].float()
        for module in stack.modules[1:]:
            features = module(features)
        return features


@contextmanager
def _threads_for(tokens: int, stack: Stack) -> Iterator[None]:
    """One thread inside the block where there is too little work for more.

    Threads meet after every layer, and while another process has one of the cores each meeting waits for a turn of the
    scheduler: a query of five tokens took 6 ms in one thread and 390 ms in two.
    """
    threads = torch.get_num_threads()
    if tokens * stack.dim**2 > _ONE_THREAD or threads == 1 or torch.device(stack.device).type != "cpu":
        yield
        return
    torch.set_num_threads(1)  # of this thread's own parallel regions
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def device_of(device: str) -> str:
    """A torch device; ``auto`` is ``cuda`` where there is one, else ``cpu``."""
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def prompt_length(tokenizer: Any, ids: Sequence[int]) -> int:
    """Tokens of a prompt that was tokenised alone, without the special token at its end."""
    return len(ids) - (1 if ids and ids[-1] in tokenizer.all_special_ids else 0)


def prompts_of(model: Any) -> tuple[str, str]:
    """What ``encode_document`` and ``encode_query`` put before a text."""
    default = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
    document = next((model.prompts[name] for name in _PASSAGE_PROMPTS if name in model.prompts), default)
    query = model.prompts.get("query", default)
    return document or "", query or ""


def limits_of(first: Any) -> tuple[int, int]:
    """Tokens that fit a document and a query: the model's limit, or the one it sets for that task."""
    whole = first.max_seq_length
    if not whole or whole > _NO_LIMIT:
        whole = getattr(first.auto_model.config, "max_position_embeddings", None) or _NO_LIMIT
    document, query = (getattr(first, name, None) or whole for name in ("document_length", "query_length"))
    return int(document), int(query)


def _pooling(pool: Any) -> str:
    mode = getattr(pool, "pooling_mode", None)
    if mode is None:  # sentence-transformers 5
        return str(pool.get_pooling_mode_str())
    return mode if isinstance(mode, str) else "+".join(mode)


def _metric(folder: Path, model: Any) -> Literal["cosine", "dot"]:
    name = str(model.similarity_fn_name)
    if name not in ("cosine", "dot"):
        raise InputError(
            f"a model must compare by cosine or dot, got {name!r} in {str(folder)!r}. Set similarity_fn_name to one "
            "of the two and save the model, if that is how it may be used."
        )
    return cast("Literal['cosine', 'dot']", name)


def _check_supported(folder: Path, first: Any, names: list[str]) -> None:
    """Refuse what would give other vectors than sentence-transformers gives."""
    wrong = ""
    settings = getattr(first, "processing_kwargs", None) or {}
    if names[0] != "Transformer" or "Router" in names:
        wrong = f"the modules {', '.join(names)}"
    elif not getattr(first.tokenizer, "is_fast", False):
        wrong = f"the tokenizer {type(first.tokenizer).__name__}, which has no fast form"
    elif "message" in getattr(first, "modality_config", {}):
        wrong = "a chat template around each text"
    elif getattr(first, "query_expansion", None) or settings.get("text") or settings.get("common"):
        wrong = "settings of its own for tokenising (query_expansion or processing_kwargs)"
    if wrong:
        raise InputError(
            f"a text encoder must be one Transformer with a fast tokenizer and what follows it, got {wrong} in "
            f"{str(folder)!r}. Encode with sentence-transformers, and give the vectors to nestvec."
        )


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
