"""A transformer that really runs its first layers only, beside the whole one and without a second copy of it.

A model is a module of modules; a cut model is a new shell around the same ones, with a shorter list of layers.
Its own ``forward`` runs, so a model that ends in a norm (Llama, Qwen, Mistral, Gemma, ModernBERT) puts that norm on
layer ``k`` too: ``tap(k) = norm(h_k)`` for those families, ``h_k`` for the others (BERT, RoBERTa, MPNet, DistilBERT),
and the last tap is the model's output. Whether that holds is proved on a few tokens before a cut is handed out.

Source: Zhuang et al. 2024 (Starbucks), Li et al. 2024 (2D Matryoshka); neither puts the final norm on a tapped layer.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.encoders import backbone
from nestvec.encoders.ladder import Adapter

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause

_NORMS = ("norm", "final_norm", "final_layer_norm", "final_layernorm", "ln_f", "layer_norm", "layernorm")
_TOLERANCE = 1e-5  # of the largest number, between a cut and the tapped layer: the same kernels run on both
_PROBE = "a few words to run through the layers"


@dataclass(frozen=True, eq=False)
class Layers:
    """Where the layers of a transformer are.

    Args:
        path: of the list of layers, from the first module of the stack.
        depth: how many there are.
        norm: path of the norm after the last one; empty where there is none.
    """

    path: str
    depth: int
    norm: str


def find_layers(stack: backbone.Stack) -> Layers:
    """Find the list of layers, and the norm that is applied after the last of them.

    Raises:
        InputError: the model has no such list, or its output is not what comes out of the last layer.
    """
    first = stack.modules[0]
    config = _config(first)
    wanted = int(getattr(config, "num_hidden_layers", None) or 0)
    lists = {
        path: module
        for path, module in first.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and len(module) == wanted
        and len({type(layer) for layer in module}) == 1
    }
    outermost = [path for path in lists if not any(path.startswith(other + ".") for other in lists)]
    if len(outermost) != 1:
        raise _no_layers(first, f"{len(outermost)} lists of {wanted} layers in it")
    path = outermost[0]
    known = Layers(path, wanted, "")
    states, out = _run(stack, known, known.depth)
    shell = path.rpartition(".")[0]
    for norm in ("", *(f"{at}{name}" for at in _ancestors(shell) for name in _NORMS)):
        if _close(normed(first, norm, states), out):
            return replace(known, norm=norm)
    raise _no_layers(first, "an output that is not that of the last layer, with or without a norm known to nestvec")


def cut(stack: backbone.Stack, layers: Layers, depth: int) -> backbone.Stack:
    """The stack with the first ``depth`` layers only. Weights are shared, and the stack is not changed.

    Args:
        stack: whole.
        layers: of that stack, from :func:`find_layers`.
        depth: 1 to ``layers.depth``.

    Raises:
        InputError: there are not as many layers, or the cut model is not the tapped layer of the whole one.
    """
    if not 1 <= depth <= layers.depth:
        raise InputError(f"depth must be 1 to {layers.depth} for this model, got {depth}.")
    if depth == layers.depth:
        return stack
    short = _shortened(stack, layers, depth)
    states, _ = _run(stack, layers, depth)
    _, out = _run(short, layers, depth)
    if not _close(normed(stack.modules[0], layers.norm, states), out):
        raise _no_layers(stack.modules[0], f"another output at depth {depth} than its layer {depth} gives")
    return short


def adapted(stack: backbone.Stack, adapters: list[Adapter]) -> backbone.Stack:
    """The stack with changed weights, merged, so that they cost nothing when it runs; the stack is not changed.

    Raises:
        InputError: an adapter is for a module that is not there.
        ShapeError: or for a weight of another shape.
    """
    root = _transformer_path(stack.modules[0])
    changes: dict[str, Any] = {}
    for adapter in adapters:
        path = f"{root}.{adapter.path}" + ("" if adapter.kind == "value" else ".weight")
        old = changes.get(path, _tensor(stack.modules[0], path))
        if old is None:
            if adapter.required:
                raise InputError(f"a ladder must fit the layers that run, got a change to {adapter.path!r}: none such.")
            continue
        new = torch.from_numpy(np.ascontiguousarray(adapter.applied(old.detach().float().cpu().numpy())))
        changes[path] = new.to(dtype=old.dtype, device=old.device)
    return _with_first(stack, _replaced(stack.modules[0], changes)) if changes else stack


def pooled(stack: backbone.Stack) -> backbone.Stack:
    """The stack up to its pooling: what the heads of a ladder are fitted on.

    Raises:
        InputError: the model does not pool token states in a module of its own.
    """
    names = [type(module).__name__ for module in stack.modules]
    if "Pooling" not in names:
        raise InputError(f"a ladder's heads need a model that pools its tokens, got the modules {', '.join(names)}.")
    modules = stack.modules[: names.index("Pooling") + 1]
    return replace(stack, modules=modules, truncate_dim=None, unit=False)


def tapped(first: Any, layers: Layers, depths: Sequence[int]) -> tuple[Any, list[Any]]:
    """A shell of the transformer that also tells what comes out of some layers when it runs.

    Args:
        first: the first module of a stack.
        layers: of that stack.
        depths: rising, each from 1.

    Returns:
        The shell, for one run, and a list that this run fills with a state ``[b, t, h]`` for each of ``depths``,
        before any norm. What is shared is not changed, so runs may go side by side.
    """
    seen: list[Any] = []
    chosen = list(first.get_submodule(layers.path))
    for depth in depths:
        shell = _replaced(chosen[depth - 1], {})
        shell.__dict__["_forward_hooks"] = OrderedDict()
        shell.register_forward_hook(lambda _layer, _given, out: seen.append(out[0] if isinstance(out, tuple) else out))
        chosen[depth - 1] = shell
    return _with_layers(first, layers, torch.nn.ModuleList(chosen)), seen


def normed(first: Any, norm: str, states: Any) -> Any:
    """States with the norm at that path put on them; as they are where it is empty, None where nothing is there."""
    if not norm:
        return states
    try:
        module = first.get_submodule(norm)
    except AttributeError:
        return None
    with torch.inference_mode():
        return module(states)


def weight_bytes(stack: backbone.Stack) -> int:
    """Bytes of the weights that a stack holds, shared ones counted once."""
    tensors = {
        tensor.data_ptr(): tensor.nbytes
        for module in stack.modules
        for tensor in (*module.parameters(), *module.buffers())
    }
    return sum(tensors.values())


# ---------------------------------------------------------------------- shells around shared modules


def _shortened(stack: backbone.Stack, layers: Layers, depth: int) -> backbone.Stack:
    whole = stack.modules[0].get_submodule(layers.path)
    return _with_first(stack, _with_layers(stack.modules[0], layers, torch.nn.ModuleList(list(whole)[:depth])))


def _with_layers(first: Any, layers: Layers, chosen: Any) -> Any:
    """A shell of the transformer with another list of layers, and a configuration that says how many."""
    shell = _replaced(first, {layers.path: chosen})
    config = copy.copy(_config(first))
    config.num_hidden_layers = len(chosen)
    *names, _ = layers.path.split(".")
    module = shell
    for name in names:  # modules beside this path are shared, and keep the configuration they have
        module = module.get_submodule(name)
        if hasattr(module, "config"):
            module.config = config
    return shell


def _replaced(module: Any, changes: Mapping[str, Any]) -> Any:
    """A shell of ``module`` with other modules or tensors at some paths; everything else is shared."""
    shell = copy.copy(module)
    for kind in ("_modules", "_parameters", "_buffers"):  # copy.copy leaves these dicts shared
        shell.__dict__[kind] = getattr(module, kind).copy()
    below: dict[str, dict[str, Any]] = {}
    for path, new in changes.items():
        name, _, rest = path.partition(".")
        if rest:
            below.setdefault(name, {})[rest] = new
        elif isinstance(new, torch.nn.Module):
            shell.__dict__["_modules"][name] = new
        elif name in shell.__dict__["_buffers"]:
            shell.__dict__["_buffers"][name] = new
        else:
            shell.__dict__["_parameters"][name] = torch.nn.Parameter(new, requires_grad=False)
    for name, some in below.items():
        shell.__dict__["_modules"][name] = _replaced(module.get_submodule(name), some)
    return shell


def _with_first(stack: backbone.Stack, first: Any) -> backbone.Stack:
    return replace(stack, modules=(first, *stack.modules[1:]))


def _tensor(module: Any, path: str) -> Any:
    """The parameter or buffer at a path, or None."""
    parent, _, name = path.rpartition(".")
    try:
        owner = module.get_submodule(parent)
    except AttributeError:
        return None
    found = getattr(owner, name, None)
    return found if isinstance(found, torch.Tensor) else None


def _transformer_path(first: Any) -> str:
    """Path of the transformers model inside the first module: the outermost that has a configuration."""
    return next(str(path) for path, module in first.named_modules() if path and hasattr(module, "config"))


def _config(first: Any) -> Any:
    return first.get_submodule(_transformer_path(first)).config


# ---------------------------------------------------------------------- proof on a few tokens


def _run(stack: backbone.Stack, layers: Layers, depth: int) -> tuple[Any, Any]:
    """``(h_depth, last output)`` ``[t, d]`` of the probe."""
    first, seen = tapped(stack.modules[0], layers, (depth,))
    found = stack.tokenizer(_PROBE, return_tensors="pt")
    features = {name: found[name].to(stack.device) for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        out = first({**features, "modality": "text"})
    states = out.get("token_embeddings")
    if states is None or len(seen) != 1:
        raise _no_layers(first, f"a layer that ran {len(seen)} times, or no token states")
    return seen[0].reshape(states.shape[-2:]), states.reshape(states.shape[-2:])


def _close(a: Any, b: Any) -> bool:
    if a is None or a.shape != b.shape:
        return False
    a, b = a.float(), b.float()
    return bool((a - b).abs().max() <= _TOLERANCE * max(1.0, float(b.abs().max())))


def _ancestors(path: str) -> list[str]:
    """``a.b`` -> ``["a.b.", "a.", ""]``: where a norm may stand, nearest first."""
    parts = path.split(".") if path else []
    return [".".join(parts[:n]) + ("." if n else "") for n in range(len(parts), -1, -1)]


def _no_layers(first: Any, got: str) -> InputError:
    name = type(first.get_submodule(_transformer_path(first))).__name__
    return InputError(
        f"a model must show its layers in one list to run only some of them, got {name} with {got}. Sizes of all "
        "layers (such as d128) are possible, and depth 0."
    )
