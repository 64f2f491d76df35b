"""Batches side by side."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch")

from nestvec.encoders import workers  # noqa: E402  # after the check for torch


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_and_each_thread_works_alone(three_threads):
    gate = threading.Barrier(3, timeout=30)  # passes only if three run at a time

    def work(i):
        gate.wait()
        return i * i, torch.get_num_threads(), threading.current_thread().name

    found = list(workers.side_by_side(work, range(6), device="cpu"))
    assert [square for square, _, _ in found] == [0, 1, 4, 9, 16, 25]
    assert {used for _, used, _ in found} == {1}
    assert len({name for _, _, name in found}) == 3


def test_the_callers_setting_stays(three_threads):
    list(workers.side_by_side(abs, range(4), device="cpu"))
    assert torch.get_num_threads() == 3
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [3]


def test_one_item_stays_in_the_callers_thread(three_threads):
    own = threading.current_thread()
    assert list(workers.side_by_side(lambda _: threading.current_thread(), [1], device="cpu")) == [own]
    assert list(workers.side_by_side(abs, [], device="cpu")) == []
    assert workers.threads("cpu") == 3


def test_an_error_arrives(three_threads):
    def work(i):
        if i == 2:
            raise ValueError("two")
        return i

    with pytest.raises(ValueError, match="two"):
        list(workers.side_by_side(work, range(5), device="cpu"))
