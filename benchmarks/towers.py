"""Features in towers: bytes that simulated machines exchange, and what that costs a click model's AUC."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmarks.harness import Outcome
from nestvec.core.errors import MissingExtraError
from nestvec.core.types import Array

KEYS = ("bytes_ratio", "auc_loss", "random_auc_loss")
_GROUPS, _EACH, _VALUES, _DIM, _TOWER_DIM = 4, 3, 40, 8, 12
_ROWS, _QUICK_ROWS = 200_000, 30_000


def run(*, quick: bool) -> Outcome:
    """Clicks of fields in hidden groups; the partition is learnt from a flat model's rows."""
    out = Outcome(dict.fromkeys(KEYS), ("model", "bytes a step", "AUC", "std", "groups found"))
    try:
        import torch  # noqa: F401  # says now that it is not there
    except (ImportError, MissingExtraError) as error:
        out.missing = dict.fromkeys(KEYS, str(error))
        return out
    from nestvec.tables.towers import interactions, partition_features, traffic

    groups = np.random.default_rng(5).permutation(np.repeat(np.arange(_GROUPS), _EACH))
    ids, labels = clicks(groups, _QUICK_ROWS if quick else _ROWS)
    counted = traffic(features=len(groups), dim=_DIM, towers=_GROUPS, tower_dim=_TOWER_DIM, batch=1024)
    aucs: dict[str, list[float]] = {"flat": [], "towers, learnt": [], "towers, random": []}
    found = []
    for seed in range(2 if quick else 5):
        flat, model = train(ids, labels, None, seed=seed)
        aucs["flat"].append(flat)
        towers = partition_features(interactions(model.rows(ids[:4000]).numpy()), _GROUPS, seed=seed)
        found.append(agreement(towers, groups))
        aucs["towers, learnt"].append(train(ids, labels, towers, seed=seed)[0])
        drawn = np.random.default_rng(seed).permutation(groups)
        aucs["towers, random"].append(train(ids, labels, drawn, seed=seed)[0])
    for name, values in aucs.items():
        nbytes = counted.flat if name == "flat" else counted.towers
        share = round(statistics.fmean(found), 3) if name == "towers, learnt" else ""
        out.rows.append(
            (name, f"{nbytes:,}", round(statistics.fmean(values), 5), round(statistics.stdev(values), 5), share)
        )
    mean = {name: statistics.fmean(values) for name, values in aucs.items()}
    out.figures |= {
        "bytes_ratio": counted.ratio, "auc_loss": round(mean["flat"] - mean["towers, learnt"], 5),
        "random_auc_loss": round(mean["flat"] - mean["towers, random"], 5),
    }  # fmt: skip
    out.notes += [
        (
            f"{len(groups)} fields of {_VALUES} values in {_GROUPS} hidden groups: a click depends on products "
            "inside groups. "
            f"Rows of {_DIM}; a tower brings its {_EACH} fields to {_TOWER_DIM} numbers. Bytes are counted for a "
            "machine a tower and 1,024 examples, not measured."
        ),
        "groups found: share of the pairs of one hidden group that the partition keeps together.",
    ]
    return out


def clicks(groups: Array, n: int) -> tuple[Array, Array]:
    """``(ids [n, f], labels [n])``: the logit is a sum of products of hidden vectors inside groups."""
    rng = np.random.default_rng(3)
    ids = rng.integers(0, _VALUES, (n, len(groups)))
    hidden = rng.normal(size=(len(groups), _VALUES, 2)) + 0.3
    z = np.stack([hidden[f][ids[:, f]] for f in range(len(groups))], axis=1)
    logit = np.zeros(n)
    for g in range(groups.max() + 1):
        mine = z[:, groups == g]
        logit += (mine.sum(1) ** 2 - (mine**2).sum(1)).sum(1) / 2
    chance = 1 / (1 + np.exp(-2 * logit / logit.std()))
    return ids, (rng.random(n) < chance).astype(np.float32)


def agreement(found: Array, groups: Array) -> float:
    """Share of the pairs of one group that are in one tower."""
    same = (groups[:, None] == groups[None, :]) & ~np.eye(len(groups), dtype=bool)
    return float((found[:, None] == found[None, :])[same].mean())


def train(ids: Array, labels: Array, towers: Array | None, *, seed: int) -> tuple[float, Any]:
    """``(AUC on the last fifth, the model)``."""
    import torch

    from nestvec.training.ctr_data import auc

    torch.manual_seed(seed)
    model = _model(ids.shape[1], towers)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    cut = len(ids) * 4 // 5
    x, y = torch.from_numpy(ids), torch.from_numpy(labels)
    for _ in range(4):
        for at in torch.randperm(cut).split(256):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x[at]), y[at])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.inference_mode():
        return auc(model(x[cut:]).numpy(), labels[cut:]), model


def _model(fields: int, towers: Array | None) -> Any:
    """A factorisation machine with a network beside it; or products inside each tower, brought to a few numbers."""
    import torch
    from torch import nn

    class Towers(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(fields * _VALUES, _DIM)
            nn.init.normal_(self.table.weight, std=0.1)
            self.starts = torch.arange(fields) * _VALUES
            own = np.zeros(fields, np.int64) if towers is None else towers
            self.members = [torch.from_numpy(np.flatnonzero(own == t)) for t in range(own.max() + 1)]
            wide = fields * _DIM if towers is None else _TOWER_DIM
            self.bring = nn.ModuleList(nn.Linear(_products(len(m)), wide) for m in self.members)
            self.last = nn.Sequential(nn.Linear(wide * len(self.members), 64), nn.ReLU(), nn.Linear(64, 1))

        def rows(self, ids: Any) -> Any:
            with torch.inference_mode():
                return self.table(torch.as_tensor(ids) + self.starts)

        def forward(self, ids: Any) -> Any:
            rows = self.table(ids + self.starts)
            parts = []
            for members, bring in zip(self.members, self.bring, strict=True):
                mine = rows[:, members]
                a, b = torch.triu_indices(len(members), len(members), 1)
                parts.append(bring(torch.cat([mine.flatten(1), (mine[:, a] * mine[:, b]).flatten(1)], dim=1)))
            logit = self.last(torch.cat(parts, dim=1))[:, 0]
            if towers is None:  # inner products as they are: those of fields that do not go together come to nothing
                logit = logit + (rows.sum(1).square() - rows.square().sum(1)).sum(1) / 2
            return logit

    return Towers()


def _products(members: int) -> int:
    return (members + members * (members - 1) // 2) * _DIM
