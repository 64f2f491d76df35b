"""Compressed tables: training steps against a full nn.EmbeddingBag, lookups against numpy and fbgemm."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.harness import Outcome, ratio, times
from nestvec.tables import FrozenTable, RowWiseAdagrad, Table, fit_spec, make_spec

_DIM = 16
_SHARE = 0.05  # of a full table's bytes
_BATCH = 8192
_METHODS = ("hash", "quotient_remainder", "unified", "robe")
_KEYS = {"quotient_remainder": "qr"}
_PAIR = "fbgemm_gpu cannot be imported ({}); torch 2.13 goes with fbgemm-gpu-cpu 1.8.0, in an environment of its own"


def _ours(name: str, rows: int, ids: torch.Tensor) -> Callable[[], None]:
    spec = fit_spec(name, rows, _DIM, int(rows * _DIM * 4 * _SHARE))
    table = Table(spec).train()
    optimiser = RowWiseAdagrad(table.parameters(), lr=0.05)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        table(ids).square().sum().backward()
        optimiser.step()
        table.after_step(lr=0.05)

    return step


def _full(rows: int, ids: torch.Tensor) -> Callable[[], None]:
    bag = nn.EmbeddingBag(rows, _DIM, mode="sum", sparse=False)
    optimiser = torch.optim.SGD(bag.parameters(), lr=0.05)  # the cheapest there is: what it cannot do, none can
    offsets = torch.arange(len(ids))

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        bag(ids, offsets).square().sum().backward()
        optimiser.step()

    return step


def run(*, quick: bool = False) -> Outcome:
    """A table of a million ids (half a million in the quick run), one thread."""
    torch.set_num_threads(1)
    rows, repeats = (500_000, 5) if quick else (2_000_000, 15)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, rows, (repeats + 1) * _BATCH)
    ids = torch.from_numpy(drawn[:_BATCH])
    outcome = Outcome({}, ("what", "rows/s", "against the full bag"))
    steps = [_full(rows, ids), *(_ours(name, rows, ids) for name in _METHODS)]
    taken = times(*steps, repeats=repeats, warmup=2)
    outcome.rows.append(
        ("train: nn.EmbeddingBag, full, dense gradient, SGD", _BATCH / statistics.median(taken[0]), 1.0)
    )
    for name, seconds in zip(_METHODS, taken[1:], strict=True):
        faster = ratio(taken[0], seconds)
        outcome.figures[f"{_KEYS.get(name, name)}_vs_full"] = faster
        outcome.rows.append((f"train: {name} at 5 % of the bytes", _BATCH / statistics.median(seconds), faster))
    _lookups(outcome, rows, drawn, repeats)
    return outcome


def _lookups(outcome: Outcome, rows: int, drawn: np.ndarray, repeats: int) -> None:
    served = {name: Table(make_spec(name, rows, _DIM)).freeze() for name in ("full", "int8", "int4")}
    budget = int(rows * _DIM * 4 * _SHARE)
    served |= {name: Table(fit_spec(name, rows, _DIM, budget)).freeze() for name in (*_METHODS, "unified+int4")}
    plain = next(iter(served["full"].held.values())).arrays()["values"]
    work: dict[str, Callable[[], object]] = {"numpy take, full table": lambda: plain[drawn]}
    work |= {name: (lambda table=table: table.rows(drawn)) for name, table in served.items()}  # type: ignore[misc]
    peer = _fbgemm(served["int8"], drawn, outcome)
    if peer is not None:
        work["fbgemm, int8, bags of one"] = peer
    taken = dict(zip(work, times(*work.values(), repeats=repeats), strict=True))
    for name, seconds in taken.items():
        outcome.rows.append((f"look up: {name}", len(drawn) / statistics.median(seconds), ""))
    outcome.figures["lookups_per_s"] = len(drawn) / statistics.median(taken["full"])
    outcome.figures["lookups_vs_numpy"] = ratio(taken["numpy take, full table"], taken["full"])
    slowest = max((name for name in taken if name in served), key=lambda name: statistics.median(taken[name]))
    outcome.figures["lookups_per_s_slowest"] = len(drawn) / statistics.median(taken[slowest])
    outcome.figures["lookup_vs_fbgemm"] = (
        ratio(taken["fbgemm, int8, bags of one"], taken["int8"]) if peer is not None else None
    )
    outcome.notes.append(f"{rows:,} ids of {_DIM} numbers; batches of {_BATCH:,} to train, {len(drawn):,} to look up.")


def _fbgemm(ours: FrozenTable, drawn: np.ndarray, outcome: Outcome) -> Callable[[], object] | None:
    """The same 8-bit rows behind fbgemm's CPU kernel, if a working pair of versions is installed."""
    try:
        from fbgemm_gpu.split_embedding_configs import SparseType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
        from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen
    except (ImportError, OSError) as cause:  # a wheel of another torch dies of an undefined symbol
        outcome.missing["lookup_vs_fbgemm"] = _PAIR.format(str(cause).splitlines()[0])
        return None
    held = next(iter(ours.held.values())).arrays()
    kernel = IntNBitTableBatchedEmbeddingBagsCodegen(
        [("ids", len(held["codes"]), _DIM, SparseType.INT8, EmbeddingLocation.HOST)],
        output_dtype=SparseType.FP32, device="cpu",
    )  # fmt: skip
    kernel.initialize_weights()
    line = np.stack([held[name] * held["unit"] for name in ("scale", "low")], axis=1).astype(np.float16)
    kernel.assign_embedding_weights([(torch.from_numpy(held["codes"]), torch.from_numpy(line.view(np.uint8)))])
    ids, offsets = torch.from_numpy(drawn), torch.arange(len(drawn) + 1)
    error = float(np.abs(kernel(ids, offsets).numpy() - ours.rows(drawn)).max())
    assert error < 1e-3, f"fbgemm must give the same rows, got {error} between them"  # half-precision steps
    return lambda: kernel(ids, offsets)
