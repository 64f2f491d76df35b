"""From a graph to the spelling of its nodes: which anchors, which are near, and what a new node is spelt with.

>>> import numpy as np
>>> from nestvec.tables import Table, make_spec
>>> from nestvec.tables.anchoring import Graph, tokenise
>>> ring = Graph(np.array([[i, 0, (i + 1) % 300] for i in range(300)]), nodes=300, kinds=1)
>>> spec = make_spec("anchors", 300, 16, anchors=30, nearest=4, reach=8, relations=2, outgoing=2)
>>> table = Table(spec, indexes=tokenise(ring, spec))

numpy alone. Source: Galkin et al. 2022, sec. 3.1 (arXiv:2106.12144).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, Int64
from nestvec.kernels.idhash import scramble
from nestvec.tables.frozen import FrozenTable
from nestvec.tables.method import at_least
from nestvec.tables.methods.anchors import Anchors
from nestvec.tables.spec import TableSpec

_RATIOS = (0.4, 0.4)
"""Parts of the anchors that are the nodes of highest degree and of highest PageRank; the others are drawn."""
_DAMPING = 0.85
_ROUNDS = 50
"""Of PageRank: what is left of the start after them is below ``0.85**50``, three in ten thousand."""
_AT_ONCE = 1 << 22  # steps of a walk, and pairs of a node and an anchor, that are in memory together


@dataclass(frozen=True, eq=False)
class Graph:
    """Typed edges between numbered nodes.

    Args:
        triples: ``[e, 3]`` whole numbers: head, relation, tail. An edge may come twice; a node may have none.
        nodes: how many there are.
        kinds: types of relations.

    Raises:
        ShapeError, InputError: not of that shape, or a number is outside.
    """

    triples: Array
    nodes: int
    kinds: int = 1

    def __post_init__(self) -> None:
        at_least(1, nodes=self.nodes, kinds=self.kinds)
        if self.triples.ndim != 2 or self.triples.shape[1] != 3:
            raise ShapeError(f"triples must be [e, 3] of head, relation, tail, got shape {self.triples.shape}.")
        if self.triples.dtype.kind not in "iu":
            raise InputError(f"triples must be whole numbers, got {self.triples.dtype}.")
        ends = self.triples[:, [0, 2]]
        for what, values, top in (("nodes", ends, self.nodes), ("relations", self.triples[:, 1], self.kinds)):
            wrong = values[(values < 0) | (values >= top)]
            if wrong.size:
                raise InputError(f"{what} of the triples must be in [0, {top}), got {wrong[0]}.")

    @cached_property
    def neighbours(self) -> tuple[Int64[np.ndarray, " nodes_and_one"], Int64[np.ndarray, " n"]]:
        """Where the neighbours of each node begin, and all of them; each once, in either direction, without itself."""
        heads, tails = self.triples[:, 0].astype(np.int64), self.triples[:, 2].astype(np.int64)
        apart = heads != tails
        pairs = np.concatenate([heads * self.nodes + tails, tails * self.nodes + heads])[np.tile(apart, 2)]
        left, right = np.divmod(np.unique(pairs), self.nodes)
        return np.searchsorted(left, np.arange(self.nodes + 1)), right

    @property
    def degrees(self) -> Int64[np.ndarray, " nodes"]:
        """``[nodes]`` neighbours of each."""
        return np.diff(self.neighbours[0])


def tokenise(graph: Graph, spec: TableSpec) -> dict[str, Array]:
    """What every node is spelt with, to be given to a table: ``Table(spec, indexes=tokenise(graph, spec))``.

    Args:
        graph: with as many nodes as ``spec`` has ids; its edges are walked both ways.
        spec: of the method ``anchors``.

    Returns:
        ``anchors`` and ``distances`` ``[nodes, k]``: the nearest, ties to the smaller number, which is the anchor with
        fewer neighbours. A node that fewer anchors are within ``reach`` of has "none" (the number of anchors,
        ``reach + 1``) in the other places. ``relations`` ``[nodes, m]``, if the spec has any: types that leave the
        node, rising; those that come in count as ``kinds`` further types; of more than ``m`` so many drawn at random.

    Raises:
        InputError: the spec is of another method, or of another number of ids or relations.

    Cost: a walk from all nodes at once, a level of ``reach`` at a time; ``sum of degrees * k`` steps a level at most.
    """
    method = _method(spec)
    _fits(graph, method)
    chosen = choose_anchors(graph, method.anchors, seed=spec.seed)
    near = np.full((graph.nodes, method.nearest), method.anchors, np.int32)
    far = np.full((graph.nodes, method.nearest), method.reach + 1, np.int32)
    near[chosen, 0], far[chosen, 0] = np.arange(len(chosen)), 0
    _walk(graph, near, far, np.arange(graph.nodes), method)
    found = {"anchors": near, "distances": far}
    return found | ({"relations": _outgoing(graph, np.arange(graph.nodes), method)} if method.outgoing else {})


def choose_anchors(graph: Graph, count: int, *, seed: int = 0) -> Int64[np.ndarray, " anchors"]:
    """``[count]`` nodes by rising degree: two fifths of highest degree, two fifths of highest PageRank, others drawn.

    Nodes without neighbours are no anchors as long as there are others. If there are not ``count`` nodes, all are.
    """
    degrees = graph.degrees
    linked = np.flatnonzero(degrees)
    if count >= len(linked):
        rest = np.setdiff1d(np.arange(graph.nodes), linked)[: count - len(linked)]
        chosen = np.concatenate([linked, rest])
    else:
        taken = np.zeros(graph.nodes, bool)
        for share, score in zip(_RATIOS, (degrees, page_rank(graph)), strict=True):
            free = np.flatnonzero(~taken)
            taken[free[np.argsort(-score[free], kind="stable")[: int(share * count)]]] = True
        left = linked[~taken[linked]]
        drawn = np.random.default_rng((seed, 23)).choice(left, count - int(taken.sum()), replace=False)
        chosen = np.concatenate([np.flatnonzero(taken), drawn])
    chosen = np.sort(chosen)
    return chosen[np.argsort(degrees[chosen], kind="stable")]


def page_rank(graph: Graph) -> Array:
    """``[nodes]`` float64, the share of time that a walk spends at each: ``p = .15 / n + .85 (walk + from dead ends)``.

    Source: Page et al. 1999, sec. 2.
    """
    _, others = graph.neighbours
    degrees, n = graph.degrees, graph.nodes
    of = np.repeat(np.arange(n), degrees)
    p = np.full(n, 1 / n)
    for _ in range(_ROUNDS):
        given = np.divide(p, degrees, out=np.zeros(n), where=degrees > 0)
        walked = np.bincount(of, weights=given[others], minlength=n)
        p = (1 - _DAMPING) / n + _DAMPING * (walked + p[degrees == 0].sum() / n)
    return p


def with_new_nodes(table: FrozenTable, graph: Graph) -> FrozenTable:
    """The same table with rows for further nodes; nothing is learnt, and the rows that it had stay as they are.

    A new node is spelt by its edges alone: an anchor is one step farther from it than from its neighbour. As long as a
    new node is no short cut between others, that is what a walk over the whole graph would have found.

    Args:
        table: of the method ``anchors`` and of one field, not kept exact, with ``n`` ids.
        graph: its nodes 0 to ``n - 1`` are the ids of the table; those from ``n`` on are new. It must hold the edges of
            the new nodes, to old and to new ones; edges between old ones may be left out.

    Returns:
        A table of ``graph.nodes`` ids that shares the parts of ``table``.

    Raises:
        InputError: the table is of another kind, or has more ids than the graph has nodes.

    Cost: of the new nodes and their edges, and a copy of the spelling.
    """
    method = _method(table.spec)
    known = method.sizes.total
    if graph.nodes < known:
        raise InputError(f"the graph must have the {known} nodes of the table and new ones, got {graph.nodes} nodes.")
    spec = replace(table.spec, rows=(graph.nodes,))
    wide = _method(spec)
    _fits(graph, wide)
    new = np.arange(known, graph.nodes)
    near = np.full((graph.nodes, wide.nearest), wide.anchors, np.int32)
    far = np.full((graph.nodes, wide.nearest), wide.reach + 1, np.int32)
    near[:known], far[:known] = table.indexes["anchors"], table.indexes["distances"]
    _walk(graph, near, far, new, wide)
    found = {"anchors": near, "distances": far}
    if wide.outgoing:
        found["relations"] = np.concatenate([table.indexes["relations"], _outgoing(graph, new, wide)])
    kept = {name: found[name].astype(index.dtype) for name, index in wide.indexes().items()}
    return FrozenTable(spec, table.held, kept)


def _method(spec: TableSpec) -> Anchors:
    method = spec.compressor
    if not isinstance(method, Anchors) or len(spec.rows) > 1:
        kept = " whose ids all have rows of their own" if method is None else ""
        raise InputError(
            f"a spelling is for a table of the method 'anchors' and of one field, got {spec.name} of "
            f"{len(spec.rows)} field(s){kept}."
        )
    return method


def _fits(graph: Graph, method: Anchors) -> None:
    if graph.nodes != method.sizes.total:
        raise InputError(f"the table must have a row for each of {graph.nodes} nodes, got {method.sizes.total} rows.")
    if method.outgoing and method.relations != 2 * graph.kinds:
        raise InputError(
            f"relations of the table must be {2 * graph.kinds}, twice the types of the graph (there and back), got "
            f"{method.relations}."
        )


def _walk(graph: Graph, near: Array, far: Array, nodes: Array, method: Anchors) -> None:
    """Fill the lists of ``nodes`` with the anchors that their neighbours list, a distance at a time, in place."""
    for distance in range(1, method.reach + 1):
        nodes = nodes[near[nodes, -1] == method.anchors]  # the others are full
        lists = _at(far, distance - 1)
        cost = int(graph.degrees[nodes].sum()) * method.nearest + len(nodes) * (method.anchors + 1)
        for some in np.array_split(nodes, cost // _AT_ONCE + 1):
            if len(some):
                _step(graph, near, far, some, lists, distance, method.anchors)


def _at(far: Array, distance: int) -> tuple[Array, Array]:
    """``[nodes]`` where in each list the anchors of that distance begin, and how many they are."""
    return (far < distance).sum(axis=1), (far == distance).sum(axis=1)


def _step(
    graph: Graph, near: Array, far: Array, nodes: Array, lists: tuple[Array, Array], distance: int, anchors: int
) -> None:
    """Append to each list of ``nodes`` the anchors that a neighbour lists one step nearer, as long as there is room."""
    starts, others = graph.neighbours
    of_node, edge = _ranges(starts[nodes], graph.degrees[nodes])
    neighbour = others[edge]
    of_edge, place = _ranges(lists[0][neighbour], lists[1][neighbour])
    met = np.zeros((len(nodes), anchors + 1), bool)
    met[of_node[of_edge], near[neighbour[of_edge], place]] = True
    np.put_along_axis(met, near[nodes], values=False, axis=1)  # what a list has it had sooner
    row, anchor = np.nonzero(met)
    length = (near[nodes] < anchors).sum(axis=1)
    to = length[row] + np.arange(len(row)) - np.searchsorted(row, row)
    fits = to < near.shape[1]
    near[nodes[row[fits]], to[fits]] = anchor[fits]
    far[nodes[row[fits]], to[fits]] = distance


def _ranges(starts: Array, lengths: Array) -> tuple[Array, Array]:
    """Whose each number is, and the numbers, of ``starts[i]`` to before ``starts[i] + lengths[i]`` for every ``i``."""
    of = np.repeat(np.arange(len(starts)), lengths)
    return of, starts[of] + np.arange(len(of)) - (np.cumsum(lengths) - lengths)[of]


def _outgoing(graph: Graph, nodes: Array, method: Anchors) -> Array:
    """``[nodes, m]`` types of relations that leave each, there and back, rising."""
    types = 2 * graph.kinds
    heads, kinds, tails = graph.triples.astype(np.int64).T
    pairs = np.unique(np.concatenate([heads * types + kinds, tails * types + kinds + graph.kinds]))
    pairs = pairs[np.isin(pairs // types, nodes)]
    drawn = pairs[np.lexsort((scramble(pairs, salt=method.seed), pairs // types))]
    node = drawn // types
    place = np.arange(len(node)) - np.searchsorted(node, node)
    out = np.full((graph.nodes, method.outgoing), method.relations, np.int32)
    kept = place < method.outgoing
    out[node[kept], place[kept]] = drawn[kept] % types
    return np.sort(out[nodes], axis=1)
