"""Nodes told by their anchors: how long the walk takes, and what a tenth of the parameters keeps of link prediction.

``python -m benchmarks._nodepiece --data fb15k237 --seeds 3``; a small check, not a trainer of knowledge graphs:
DistMult with reciprocal relations over a table, a softmax over entities that are drawn, and the filtered rank of the
answers.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import data
from nestvec.core.types import Array
from nestvec.tables import FrozenTable, RowWiseAdagrad, Table, TableSpec, fit_spec, make_spec, stored_bytes
from nestvec.tables.anchoring import Graph, tokenise, with_new_nodes

_DIM = 64
_AT_ONCE = 500  # questions whose scores of all entities are in memory together
_WALKS = {"fb15k237": (1000, 20, 15), "wn18rr": (500, 50, 4), "umls": (30, 8, 8)}
"""Anchors, nearest and relations: those of the paper, and some for a graph that it does not have."""
_SMALL = "umls"  # 135 entities: too few to shrink their table, and enough to take some out
_SPELT = {
    "fb15k237": {"nearest": 8, "outgoing": 8, "reach": 6, "width": 32, "hidden": 64},
    "wn18rr": {"nearest": 16, "outgoing": 4, "reach": 12, "width": 32, "hidden": 128},
    "umls": {"nearest": 8, "outgoing": 8, "reach": 4, "width": 32, "hidden": 64},
}
_METHODS = ("full", "anchors", "unified", "quotient_remainder", "low_dim")


@dataclass(frozen=True)
class Triples:
    """A knowledge graph in numbers, entities sorted by falling frequency in training.

    Args:
        train: ``[n, 3]`` head, relation, tail.
        valid: the same, to stop by.
        test: the same, to be foretold.
        entities: how many.
        kinds: types of relations.
    """

    train: Array
    valid: Array
    test: Array
    entities: int
    kinds: int

    def both_ways(self, triples: Array) -> Array:
        """With the way back of each, whose type is ``kinds`` more."""
        back = triples[:, ::-1] + np.array([0, self.kinds, 0])
        return np.concatenate([triples, back])


def load(name: str) -> Triples | None:
    """The split as it is given, or None if the data set is not there."""
    folder = data(name)
    if folder is None:
        return None
    parts = [_read(folder, part) for part in ("train", "valid", "test")]
    ends, counts = np.unique([end for h, _, t in parts[0] for end in (h, t)], return_counts=True)
    ranked = ends[np.argsort(-counts, kind="stable")].tolist()
    known = set(ranked)
    ranked += sorted({end for part in parts[1:] for h, _, t in part for end in (h, t)} - known)
    entity = {end: i for i, end in enumerate(ranked)}
    relation = {r: i for i, r in enumerate(sorted({r for _, r, _ in parts[0]}))}
    train, valid, test = (np.array([(entity[h], relation[r], entity[t]) for h, r, t in part]) for part in parts)
    return Triples(train, valid, test, len(entity), len(relation))


def _read(folder: Path, part: str) -> list[tuple[str, str, str]]:
    path = next(folder.glob(f"{part}.tsv*"))
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        found = [line.rstrip("\n").split("\t") for line in file]
    return [(h, r, t) for h, r, t in found]


@dataclass(frozen=True)
class LinkSettings:
    """How the check is trained.

    Args:
        epochs: at most; the best look at valid triples is kept, one an epoch.
        batch: triples a step.
        drawn: entities that each answer is told from.
        table_lr: of the table, by row-wise Adagrad.
        lr: of relations and of what a table reads as a whole, by Adam.
        judged: triples of a look, and of the test, each asked both ways.
    """

    epochs: int = 10
    batch: int = 1024
    drawn: int = 1024
    table_lr: float = 0.1
    lr: float = 2e-3
    judged: int = 2000


class DistMult(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """``score(h, r, t) = <e_h * w_r, e_t>`` over the rows of a table (Yang et al. 2015, sec. 3.1)."""

    def __init__(self, table: Table, relations: int, *, seed: int) -> None:
        super().__init__()
        self.table = table
        first = torch.Generator().manual_seed(seed)
        self.relations = nn.Parameter(torch.randn(relations, table.spec.dim, generator=first))

    def loss(self, triples: Tensor, drawn: Tensor) -> Tensor:
        """Softmax of each tail against the entities that were ``drawn``, the same for all triples."""
        heads, kinds, tails = triples.T
        used, where = torch.cat([heads, tails, drawn]).unique(return_inverse=True)
        rows = self.table(used)[where]
        asked = rows[: len(heads)] * self.relations[kinds]
        own = (asked * rows[len(heads) : 2 * len(heads)]).sum(1, keepdim=True)
        others = asked @ rows[2 * len(heads) :].T
        others = others.masked_fill(tails[:, None] == drawn, -torch.inf)
        scores = torch.cat([own, others], 1)
        return functional.cross_entropy(scores, torch.zeros(len(heads), dtype=torch.int64))


def train(spec: TableSpec, graph: Triples, settings: LinkSettings, *, seed: int) -> tuple[FrozenTable, Array, float]:
    """The table as it is served and the relations, of the epoch whose valid MRR is best; triples a second."""
    spec = replace(spec, seed=seed)
    known = Graph(graph.train, graph.entities, graph.kinds)
    indexes = tokenise(known, spec) if spec.method.startswith("anchors") else None
    model = DistMult(Table(spec, indexes=indexes), 2 * graph.kinds, seed=seed)
    optimisers = _optimisers(model, settings)
    triples, rng = torch.from_numpy(graph.both_ways(graph.train)), np.random.default_rng((seed, 5))
    best, kept, seconds = -1.0, (model.table.freeze(), np.empty(0)), 0.0
    for _ in range(settings.epochs):
        model.train()
        start = time.perf_counter()
        for batch in torch.from_numpy(rng.permutation(len(triples))).split(settings.batch):
            drawn = torch.from_numpy(rng.integers(0, graph.entities, settings.drawn))
            model.zero_grad(set_to_none=True)
            model.loss(triples[batch], drawn).backward()
            for optimiser in optimisers:
                optimiser.step()
            model.table.after_step(lr=settings.table_lr)
        seconds += time.perf_counter() - start
        served, relations = model.eval().table.freeze(), model.relations.detach().numpy()
        found = mrr(served.rows(np.arange(graph.entities)), relations, graph, graph.valid[: settings.judged])
        if found > best:
            best, kept = found, (copy.deepcopy(served), relations.copy())
    return *kept, settings.epochs * len(triples) / seconds


def _optimisers(model: DistMult, settings: LinkSettings) -> list[torch.optim.Optimizer]:
    parts = model.table.held.values()
    rows = [p for part in parts if not getattr(part, "whole", False) for p in part.parameters() if p.requires_grad]
    taken = {id(p) for p in rows}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
    return [torch.optim.Adam(rest, lr=settings.lr), RowWiseAdagrad(rows, lr=settings.table_lr)]


def mrr(rows: Array, relations: Array, graph: Triples, asked: Array, *, heads: Array | None = None) -> float:
    """Mean reciprocal rank of the tails of ``asked`` (both ways), other right answers left out, ties in the middle.

    Args:
        rows: ``[entities, dim]`` what answers are scored by.
        relations: ``[2 kinds, dim]``.
        graph: all its triples are right answers.
        asked: ``[n, 3]``; both ways, unless ``heads`` says by which vectors it is asked.
        heads: ``[n, dim]`` vectors of the heads, in place of their rows.
    """
    questions = graph.both_ways(asked) if heads is None else asked
    vectors = rows[questions[:, 0]] if heads is None else heads
    right = graph.both_ways(np.concatenate([graph.train, graph.valid, graph.test]))
    keys = right[:, 0] * 2 * graph.kinds + right[:, 1]
    order = np.argsort(keys, kind="stable")
    keys, tails = keys[order], right[order, 2]
    found = []
    for start in range(0, len(questions), _AT_ONCE):
        some = questions[start : start + _AT_ONCE]
        scores = (vectors[start : start + _AT_ONCE] * relations[some[:, 1]]) @ rows.T
        own = np.take_along_axis(scores, some[:, 2:], axis=1)
        key = some[:, 0] * 2 * graph.kinds + some[:, 1]
        first, last = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
        for row, (a, b) in enumerate(zip(first, last, strict=True)):
            mine = tails[a:b]
            scores[row, mine[mine < len(rows)]] = -np.inf
        above, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
        found.append(1 / (1 + above + equal / 2))
    return float(np.concatenate(found).mean())


def specs(name: str, graph: Triples, methods: tuple[str, ...]) -> dict[str, TableSpec]:
    """The full table, and every method with a tenth of its parameters; what is compared at the bytes of ``anchors``."""
    found = {"full": make_spec("full", graph.entities, _DIM)}
    most = graph.entities * _DIM // 10
    settings = _SPELT[name] | {"relations": 2 * graph.kinds}
    fixed = parameters(make_spec("anchors", graph.entities, _DIM, anchors=1, **settings))
    anchors = _WALKS[name][0] if name == _SMALL else 1 + (most - fixed) // _SPELT[name]["width"]
    found["anchors"] = make_spec("anchors", graph.entities, _DIM, anchors=anchors, **settings)
    spelt = stored_bytes(found["anchors"])
    for method in methods:
        if method not in found:
            found[method] = fit_spec(method, graph.entities, _DIM, most * 4 + 1000)
    if "unified" in methods:
        found["unified, bytes of anchors"] = fit_spec("unified", graph.entities, _DIM, spelt)
    return {method: spec for method, spec in found.items() if method.partition(",")[0] in methods}


def parameters(spec: TableSpec) -> int:
    """Numbers that are trained."""
    method = spec.compressor
    assert method is not None
    return sum(part.rows * part.width for part in method.parts().values() if part.trained)


def walk(name: str, graph: Triples) -> str:
    """Seconds and bytes of the spelling with the settings of the paper."""
    anchors, nearest, outgoing = _WALKS[name]
    start = time.perf_counter()
    known = Graph(graph.train, graph.entities, graph.kinds)
    spec = make_spec(
        "anchors", graph.entities, 200, anchors=anchors, nearest=nearest, reach=20, relations=2 * graph.kinds,
        outgoing=outgoing,
    )  # fmt: skip
    found = tokenise(known, spec)
    seconds = time.perf_counter() - start
    kept = spec.compressor.indexes()  # type: ignore[union-attr]
    size = sum(int(np.prod(index.shape)) * np.dtype(index.dtype).itemsize for index in kept.values())
    apart = len(np.unique(np.concatenate(list(found.values()), axis=1), axis=0))
    return f"{seconds:.2f} s, {size / 1e6:.1f} MB; {apart:,} of {graph.entities:,} entities are spelt differently"


@dataclass(frozen=True)
class Newcomers:
    """A graph whose last entities were not there in training.

    Args:
        before: the triples of the others among one another, for training.
        after: all triples, so that other right answers are known.
        told: ``[n, 3]`` newcomer, relation, entity of before: edges that are given.
        asked: the same, to be foretold.
    """

    before: Triples
    after: Triples
    told: Array
    asked: Array

    @classmethod
    def of(cls, graph: Triples, *, seed: int, most: int, share: float) -> Newcomers:
        """With ``share`` of the entities taken out at random, half of whose edges are given."""
        rng = np.random.default_rng((seed, 31))
        new = np.sort(rng.permutation(graph.entities)[: int(share * graph.entities)])
        old = graph.entities - len(new)
        number = np.empty(graph.entities, np.int64)
        number[np.setdiff1d(np.arange(graph.entities), new)] = np.arange(old)
        number[new] = np.arange(old, graph.entities)
        train, valid, test = (
            np.stack([number[part[:, 0]], part[:, 1], number[part[:, 2]]], axis=1)
            for part in (graph.train, graph.valid, graph.test)
        )
        inside = [part[(part[:, [0, 2]] < old).all(axis=1)] for part in (train, valid, test)]
        before = Triples(inside[0], inside[1], inside[2], old, graph.kinds)
        after = Triples(train, valid, test, graph.entities, graph.kinds)
        about = after.both_ways(train)
        about = about[(about[:, 0] >= old) & (about[:, 2] < old)]
        given = rng.random(len(about)) < 0.5
        told, asked = about[given], about[~given]
        asked = asked[np.isin(asked[:, 0], told[:, 0])]
        return cls(before, after, told, asked[rng.permutation(len(asked))[:most]])

    def graph(self) -> Graph:
        """Of the edges that are given, each turned to the type that it has in training."""
        back = self.told[:, 1] >= self.after.kinds
        forth = np.where(back[:, None], self.told[:, ::-1], self.told)
        forth[:, 1] -= np.where(back, self.after.kinds, 0)
        return Graph(forth, self.after.entities, self.after.kinds)


def unseen(name: str, graph: Triples, settings: LinkSettings, *, seed: int) -> dict[str, float]:
    """MRR of questions about entities that were not there in training, from half of their edges to ones that were."""
    new = Newcomers.of(graph, seed=seed, most=settings.judged, share=0.15 if name == _SMALL else 0.05)
    heads, found = new.asked[:, 0], {}
    for method in ("full", "anchors"):
        spec = specs(name, new.before, (method,))[method]
        served, relations, _ = train(spec, new.before, settings, seed=seed)
        rows = served.rows(np.arange(new.before.entities))
        means = np.zeros((graph.entities, _DIM), np.float32)
        np.add.at(means, new.told[:, 0], rows[new.told[:, 2]])
        means /= np.maximum(np.bincount(new.told[:, 0], minlength=graph.entities), 1)[:, None]
        vectors = {
            "a row at random": np.random.default_rng(seed).standard_normal((len(heads), _DIM)).astype(np.float32),
            "the mean of its neighbours": means[heads],
        }
        if method == "anchors":
            vectors["its own spelling"] = with_new_nodes(served, new.graph()).rows(heads)
        for by, mine in vectors.items():
            found[f"{method}, {by}"] = mrr(rows, relations, new.after, new.asked, heads=mine)
    return found


def main() -> None:
    """Print what was measured, a line each as it comes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks._nodepiece", description=__doc__)
    parser.add_argument("--data", choices=sorted(_WALKS), default="fb15k237")
    parser.add_argument("--methods", default=",".join(_METHODS), help="of the tables; none for the walk alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=LinkSettings.epochs)
    parser.add_argument("--unseen", action="store_true", help="entities that were not there in training, instead")
    asked = parser.parse_args()
    graph = load(asked.data)
    if graph is None:
        sys.exit(f"no data folder with {asked.data}; set NESTVEC_DATA")
    if asked.data == _SMALL and not asked.unseen:
        parser.error(f"{_SMALL} is too small for tables of a tenth; it goes with --unseen")
    settings = LinkSettings(epochs=asked.epochs)
    if asked.data == _SMALL:
        settings = replace(settings, batch=512, drawn=128)
    print(f"{asked.data}, the walk with {_WALKS[asked.data]}: {walk(asked.data, graph)}", flush=True)
    if asked.unseen:
        found = [unseen(asked.data, graph, settings, seed=seed) for seed in range(asked.seeds)]
        for name in found[0]:
            print(f"{name:36} {_with_spread([run[name] for run in found])}")
        return
    methods = tuple(part for part in asked.methods.split(",") if part)
    print(f"{'table':28} {'parameters':>10} {'bytes':>11} {'triples/s':>10}  MRR")
    for name, spec in specs(asked.data, graph, methods).items():
        scores, speeds = [], []
        for seed in range(asked.seeds):
            served, relations, speed = train(spec, graph, settings, seed=seed)
            rng = np.random.default_rng(0)
            test = graph.test[rng.permutation(len(graph.test))[: settings.judged]]
            scores.append(mrr(served.rows(np.arange(graph.entities)), relations, graph, test))
            speeds.append(speed)
        size, speed = stored_bytes(spec), statistics.median(speeds)
        print(f"{name:28} {parameters(spec):>10,} {size:>11,} {speed:>10,.0f}  {_with_spread(scores)}", flush=True)


def _with_spread(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{spread}"


if __name__ == "__main__":
    main()
