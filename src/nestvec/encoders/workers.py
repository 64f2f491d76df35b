"""Batches side by side, one thread each, instead of all threads on one batch.

Threads that share a batch meet after every layer. While another process has one of the cores, each meeting waits for a
turn of the scheduler, and encoding got 10 times slower beside one busy neighbour. Threads with a batch each do not
meet, lose only the share of the processor that they lose, and are no slower on an idle machine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from nestvec.core.errors import MissingExtraError
from nestvec.core.types import Int64
from nestvec.encoders.batches import token_batches

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause

T = TypeVar("T")
R = TypeVar("R")

_LEAST = 128  # tokens: a smaller batch is mostly overhead


@dataclass
class _Workers:
    pools: dict[int, ThreadPoolExecutor] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_workers = _Workers()


def _after_fork() -> None:
    """The threads of a pool do not survive a fork, and the lock may have been held by one of them."""
    _workers.pools, _workers.lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads(device: str) -> int:
    """How many batches may run side by side: as many as torch would use threads, one on an accelerator."""
    return int(torch.get_num_threads()) if torch.device(device).type == "cpu" else 1


def side_by_side(work: Callable[[T], R], items: Sequence[T], *, device: str) -> Iterator[R]:
    """``work`` of each item, in their order; on a CPU several at a time, each in one thread.

    Only what is called in the threads changes how many torch uses; the caller's own setting stays.
    """
    count = threads(device)
    if count == 1 or len(items) < 2:
        yield from map(work, items)
        return
    pool = _pool(count)
    yield from pool.map(work, items)


def by_length(
    work: Callable[[Int64[np.ndarray, " b"]], R],
    lengths: Int64[np.ndarray, " n"],
    *,
    batch_tokens: int,
    device: str,
) -> Iterator[tuple[Int64[np.ndarray, " b"], R]]:
    """Batches of texts of like length, longest first, each with ``work`` of it.

    Args:
        work: what is done with the positions of one batch.
        lengths: ``[n]`` tokens of each text, special tokens included.
        batch_tokens: in a batch at most, padding included.
        device: where the work is done.
    """
    # a few short texts make one batch; cut in as many as there are threads, all of them have work
    share = -(-int(lengths.sum()) // threads(device))
    batches = list(token_batches(lengths, budget=min(batch_tokens, max(share, _LEAST))))
    yield from zip(batches, side_by_side(work, batches, device=device), strict=True)


def _pool(count: int) -> ThreadPoolExecutor:
    with _workers.lock:
        if count not in _workers.pools:
            ready = threading.Barrier(count + 1)
            pool = ThreadPoolExecutor(count, thread_name_prefix="nestvec-encode")
            for _ in range(count):
                pool.submit(_begin, ready)
            ready.wait()
            torch.set_num_threads(count)  # the number that threads yet to come begin with, which _begin has changed
            _workers.pools[count] = pool
        return _workers.pools[count]


def _begin(ready: Any) -> None:
    """Makes a thread of the pool use itself alone, and waits until all are there, so that each does this once."""
    torch.get_num_threads()  # a thread takes over the common number when it first asks, so let it ask before
    torch.set_num_threads(1)
    ready.wait()
