"""The best one-to-one assignment."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Float64, Int64


def assign(gain: Float64[np.ndarray, "n m"]) -> tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, " r"]]:
    """Rows and columns paired one to one so that the sum of ``gain`` over the pairs is as large as it can be.

    Shortest augmenting paths with dual prices: each row in turn is given a column, and where another row has that one,
    the cheapest chain of exchanges is carried out.

    Args:
        gain: ``[n, m]``, finite.

    Returns:
        ``rows`` in rising order and the ``columns`` given to them, ``min(n, m)`` of each.

    Cost: ``O(min(n, m)^2 max(n, m))``, the inner loop in numpy.

    Source: Kuhn 1955; Jonker and Volgenant 1987, Computing 38.
    """
    if gain.shape[0] > gain.shape[1]:
        columns, rows = assign(np.ascontiguousarray(gain.T))
        order = np.argsort(rows)
        return rows[order], columns[order]
    n, m = gain.shape
    cost = gain.max(initial=0.0) - gain
    row_price, column_price = np.zeros(n), np.zeros(m)
    owner = np.full(m, -1)
    for row in range(n):
        _augment(row, cost, row_price, column_price, owner)
    taken = np.flatnonzero(owner >= 0)
    order = np.argsort(owner[taken])
    return owner[taken][order].astype(np.int64), taken[order].astype(np.int64)


def _augment(row: int, cost: Array, row_price: Array, column_price: Array, owner: Array) -> None:
    """Give ``row`` a column, moving others along the cheapest path; prices and ``owner`` change in place."""
    m = cost.shape[1]
    distance, came_from = np.full(m, np.inf), np.full(m, -1)
    closed = np.zeros(m, bool)
    here, lowest, column = row, 0.0, -1
    while here >= 0:
        through = lowest + cost[here] - row_price[here] - column_price
        shorter = ~closed & (through < distance)
        distance[shorter], came_from[shorter] = through[shorter], here
        column = int(np.where(closed, np.inf, distance).argmin())
        lowest, closed[column] = distance[column], True
        here = owner[column]
    passed = closed.copy()
    passed[column] = False
    row_price[owner[passed]] += lowest - distance[passed]
    row_price[row] += lowest
    column_price[passed] += distance[passed] - lowest
    while True:
        here = came_from[column]
        owner[column] = here
        if here == row:
            return
        column = int(np.flatnonzero((owner == here) & (np.arange(m) != column))[0])
