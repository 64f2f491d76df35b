"""A linear layer as look-ups (MemoryFormer's layer): its error, time and bytes beside a matrix and a narrow one."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Outcome, data, times
from nestvec.core.errors import MissingExtraError

KEYS = ("error", "error_trained", "low_rank_error", "time_ratio", "flops_ratio", "bytes_ratio")
_BITS = 8
_STEPS, _QUICK_STEPS = 600, 60


def run(*, quick: bool) -> Outcome:
    """The first feed-forward layer of the default model's third layer, on the inputs that texts give it."""
    out = Outcome(dict.fromkeys(KEYS), ("layer", "multiply-adds", "MB", "error", "error, held out", "us a vector"))
    folder = data("stsb")
    if folder is None:
        out.missing = dict.fromkeys(KEYS, "no data folder with stsb; set NESTVEC_DATA")
        return out
    try:
        import torch

        from benchmarks.vocab import unlabelled
        from nestvec.tables.lookup_layer import LookupLinear
    except (ImportError, MissingExtraError) as error:
        out.missing = dict.fromkeys(KEYS, str(error))
        return out
    layer, x = states(unlabelled(folder)[: 150 if quick else 3000])
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
    train, test = x[order[len(x) // 5 :]], x[order[: len(x) // 5]]
    looked = LookupLinear.of(layer, train, bits=_BITS)
    steps = _QUICK_STEPS if quick else _STEPS
    trained = distilled(copy.deepcopy(looked), layer, train, steps=steps)
    wide, wanted = layer.in_features, layer.out_features
    narrow = low_rank(layer, train, rank=looked.pieces * wanted // (wide + wanted))
    layers = {"matrix": layer, "look-ups, solved": looked, "look-ups, trained": trained, "two narrow matrices": narrow}
    seconds = times(*(partial(infer, module, test) for module in layers.values()), repeats=3)
    found = {}
    for (name, module), taken in zip(layers.items(), seconds, strict=True):
        adds = wide * wanted if name == "matrix" else looked.pieces * wanted
        nbytes = sum(p.nbytes for p in module.parameters())
        wrong = error_of(module, layer, train), error_of(module, layer, test)
        found[name] = (adds, nbytes, wrong[1], min(taken) / len(test))
        out.rows.append(
            (name, f"{adds:,}", round(nbytes / 1e6, 2), *(round(e, 4) for e in wrong), found[name][3] * 1e6)
        )
    matrix, ours = found["matrix"], found["look-ups, solved"]
    out.figures |= {
        "error": round(ours[2], 4), "error_trained": round(found["look-ups, trained"][2], 4),
        "low_rank_error": round(found["two narrow matrices"][2], 4), "time_ratio": round(ours[3] / matrix[3], 3),
        "flops_ratio": round(ours[0] / matrix[0], 4), "bytes_ratio": round(ours[1] / matrix[1], 2),
    }  # fmt: skip
    out.notes += [
        (
            f"error: squared, over the variance of the layer's output, on {len(test):,} held-out token states of "
            f"{wide} numbers to {wanted}; {len(train):,} were fitted to."
        ),
        (
            f"Pieces of {_BITS} numbers. trained: {steps} steps of Adam on the same inputs after solving. The two "
            "narrow matrices have as many multiply-adds as the look-ups, and are the best of their rank on them."
        ),
    ]
    return out


def states(texts: list[str]) -> tuple[Any, Any]:
    """``(the layer, [n, d] what it gets)``."""
    import torch

    from nestvec.encoders import TextEncoder

    encoder = TextEncoder.load(precision="float32")
    layer = next(
        m for name, m in encoder.stack.modules[0].named_modules() if name.endswith("layer.2.intermediate.dense")
    )
    kept: list[Any] = []
    handle = layer.register_forward_pre_hook(lambda _, given: kept.append(given[0].reshape(-1, given[0].shape[-1])))
    encoder.encode(texts)
    handle.remove()
    return copy.deepcopy(layer).requires_grad_(requires_grad=False), torch.cat(kept).float().clone()


def infer(module: Any, x: Any) -> Any:
    """Without gradients."""
    import torch

    with torch.inference_mode():
        return module(x)


def error_of(module: Any, layer: Any, x: Any) -> float:
    """Squared, over the variance of what the layer gives."""
    truth = infer(layer, x)
    return float((infer(module, x) - truth).square().sum() / (truth - truth.mean(0)).square().sum())


def low_rank(layer: Any, x: Any, *, rank: int) -> Any:
    """Two matrices that give the best rank-``rank`` approximation of the outputs on ``x``."""
    import torch

    y = infer(layer, x)
    centre = y.mean(0)
    _, directions = torch.linalg.eigh((y - centre).T @ (y - centre))
    main = directions[:, -rank:]
    made = torch.nn.Sequential(
        torch.nn.Linear(layer.in_features, rank, bias=False), torch.nn.Linear(rank, layer.out_features)
    )
    with torch.no_grad():
        made[0].weight.copy_(main.T @ layer.weight)
        made[1].weight.copy_(main)
        made[1].bias.copy_(centre + main @ (main.T @ (layer.bias - centre)))
    return made


def distilled(module: Any, layer: Any, x: Any, *, steps: int) -> Any:
    """Trained on to give what the layer gives."""
    import torch

    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        some = x[torch.randint(len(x), (1024,), generator=draw)]
        loss = (module(some) - layer(some)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module
