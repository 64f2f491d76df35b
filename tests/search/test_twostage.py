"""Two-stage search: exact with an exact codec, whatever the filter; bounded and tuned with a small one."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.codecs.float16 import Float16
from nestvec.codecs.pq import PQ
from nestvec.codecs.rabitq import RaBitQ
from nestvec.codecs.sign import Sign
from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.protocols import Searcher
from nestvec.kernels.signscan import SignScan
from nestvec.search.flat import Flat, Rows
from nestvec.search.rescore import Shelf, rescore
from nestvec.search.twostage import CodeScan, Scan, TwoStage, scan_of, tune

DIM = 16


def vectors(n, seed=0, dim=DIM):
    x = np.random.default_rng(seed).standard_normal((n, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def shelf(n, *, seed=0, dead=(), step=3):
    """Rows with gaps in their ids, in two segments."""
    rows, x = 5 + step * np.arange(n), vectors(n, seed)
    half = n // 2
    segments = (Rows(rows[:half], x[:half]), Rows(rows[half:], x[half:]))
    return Flat(segments, DIM, np.array(sorted(dead), np.int64)), rows


@dataclass
class Counting:
    """A shelf that counts what is read."""

    flat: Flat
    read: int = 0

    def vectors(self, rows):
        self.read += len(rows)
        return self.flat.vectors(rows)


def same(a, b):
    assert np.array_equal(a.ids, b.ids)
    assert np.allclose(a.scores, b.scores, atol=1e-5)


@st.composite
def cases(draw):
    n = draw(st.integers(0, 120))
    all_rows = 5 + 3 * np.arange(n)
    some = st.sets(st.sampled_from(all_rows.tolist()) if n else st.nothing())
    dead, coded = draw(some), n - draw(st.integers(0, n))
    allow = draw(st.none() | st.sets(st.integers(0, 3 * n + 9)))
    return n, dead, coded, allow, draw(st.integers(1, 150)), draw(st.integers(0, 3))


@given(case=cases())
@settings(max_examples=80)
def test_with_an_exact_codec_it_is_exact(case):
    """Dead rows, rows without codes, filters of all sizes, more hits than rows."""
    n, dead, coded, allow, k, q = case
    flat, rows = shelf(n, dead=dead)
    codec = Float16(DIM)
    codes = codec.encode(flat.vectors(rows[:coded]))
    search = TwoStage(flat, scan_of(codec, codes), rows[:coded], m=n + 1)
    queries = vectors(q, seed=9)
    allowed = None if allow is None else np.array(sorted(allow), np.int64)
    same(search.search(queries, k, allow=allowed), flat.search(queries, k, allow=allowed))


@pytest.mark.parametrize("codec_class", [Sign, RaBitQ])
def test_a_fast_scan_obeys_filters_and_deaths_too(codec_class):
    flat, rows = shelf(3000)
    codec = codec_class.fit(flat.vectors(rows))
    built = TwoStage.build(codec, flat, m=3000)
    assert isinstance(built.scan, SignScan)
    dying = Flat(flat.segments, DIM, rows[100:200])
    search = TwoStage(dying, built.scan, rows, m=3000, codec=None)
    queries = vectors(4, seed=9)
    same(search.search(queries, 20), dying.search(queries, 20))
    few = TwoStage(dying, built.scan, rows, m=40, codec=None)
    allow = rows[::2]
    hits = few.search(queries[:1], 10, allow=allow)
    assert np.isin(hits.ids, np.setdiff1d(allow, rows[100:200])).all()
    same(few.search(queries[:1], 10, allow=allow[:30]), dying.search(queries[:1], 10, allow=allow[:30]))


def test_it_is_a_searcher_and_says_what_it_holds():
    flat, rows = shelf(500)
    search = TwoStage.build(RaBitQ.fit(flat.vectors(rows)), flat)
    assert isinstance(search, Searcher)
    assert isinstance(search.scan, Scan)
    assert isinstance(CodeScan(Float16(DIM), np.zeros((0, DIM), np.float16)), Scan)
    assert isinstance(flat, Shelf)
    assert len(search) == 500
    assert search.nbytes >= 500 * (2 + 8 + 8)


def test_equal_scores_go_to_the_smaller_id():
    x = np.tile(vectors(1), (600, 1))
    flat = Flat((Rows(np.arange(600) * 2, x),), DIM)
    search = TwoStage.build(Sign.fit(x), flat, m=20)
    assert search.search(x[:1], 5).ids.tolist() == [[0, 2, 4, 6, 8]]


def test_recall_grows_with_candidates_and_tuning_finds_how_many():
    flat, rows = shelf(4000)
    search = TwoStage.build(Sign.fit(flat.vectors(rows)), flat)
    asked = vectors(50, seed=9)
    tuned = tune(search, target=0.95, k=10, asked=asked)
    truth, found = flat.search(asked, 10).ids, tuned.search(asked, 10).ids
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)])
    assert recall == pytest.approx(tuned.recall, abs=0.011)  # tuned at one more than k
    assert tuned.recall >= 0.95
    assert 20 <= tuned.m <= 2000
    assert tune(search, target=0.5, asked=asked).m < tuned.m
    assert tune(search, target=0.9, queries=20).k == 10
    assert tuned._width(20) == 2 * tuned.m
    assert tuned._width(5) == tuned.m


def test_tuning_says_when_it_did_not_get_there():
    flat, rows = shelf(300)
    codec = PQ.fit(flat.vectors(rows), parts=1, bits=4)
    search = TwoStage.build(codec, flat)
    assert tune(search, target=1.0, queries=30).recall == 1.0  # 300 rows, all of them candidates
    for wrong in ({"target": 0.0}, {"target": 1.1}):
        with pytest.raises(InputError, match="target must be"):
            tune(search, **wrong)


def test_bounds_save_reads_and_cost_next_to_nothing():
    flat, rows = shelf(3000)
    codec = RaBitQ.fit(flat.vectors(rows), bits=4)
    codes, query = codec.encode(flat.vectors(rows)), vectors(1, seed=9)[0]
    estimates, errors = (x[0] for x in codec.bounds(query[None], codes))
    counting = Counting(flat)
    found = rescore(query, rows, estimates, counting, 10, errors=errors)
    truth = flat.search(query[None], 10)
    assert np.isin(found.ids, truth.ids[0]).mean() >= 0.9
    assert found.read == counting.read < 600
    everything = rescore(query, rows, estimates, flat, 10)
    assert everything.read == 3000
    assert np.array_equal(everything.ids, truth.ids[0])


def test_bounds_that_hold_lose_nothing():
    """With errors as large as the truth demands, what is skipped could not have been among the best."""
    flat, rows = shelf(400)
    rng = np.random.default_rng(0)
    for query in vectors(20, seed=9):
        true = flat.vectors(rows) @ query
        errors = rng.uniform(0, 0.4, 400).astype(np.float32)
        guess = (true + errors * rng.uniform(-1, 1, 400) * 0.999).astype(np.float32)
        found = rescore(query, rows, guess, flat, 7, errors=errors)
        assert np.array_equal(found.ids, flat.search(query[None], 7).ids[0])


def test_fewer_candidates_than_asked_for():
    flat, rows = shelf(5)
    ids = np.array([rows[3], -1, rows[0]])
    for errors in (None, np.zeros(3, np.float32)):
        found = rescore(vectors(1)[0], ids, np.zeros(3, np.float32), flat, 10, errors=errors)
        assert sorted(found.ids) == [rows[0], rows[3]]
    none = rescore(vectors(1)[0], ids[:0], np.zeros(0, np.float32), flat, 10, errors=np.zeros(0, np.float32))
    assert (len(none.ids), none.read) == (0, 0)


def test_bad_requests_are_refused():
    flat, rows = shelf(50)
    search = TwoStage.build(Float16(DIM), flat)
    with pytest.raises(InputError, match="k must be"):
        search.search(vectors(1), 0)
    with pytest.raises(InputError, match="ascending"):
        search.search(vectors(1), 1, allow=np.array([3, 2]))
    with pytest.raises(ShapeError, match="d=16"):
        search.search(np.zeros((1, 3)), 1)
    with pytest.raises(NotFiniteError):
        search.search(np.full((1, DIM), np.nan), 1)
    with pytest.raises(ShapeError, match="row id for each code"):
        TwoStage(flat, search.scan, rows[1:])
    with pytest.raises(InputError, match="ascending"):
        TwoStage(flat, search.scan, rows[::-1])
    with pytest.raises(InputError, match="m must be"):
        TwoStage(flat, search.scan, rows, m=0)
