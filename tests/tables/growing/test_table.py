"""A growing table against a dictionary, and what its caps, thresholds and expiry promise."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nestvec.core.errors import InputError, LockedError, NotFiniteError, ShapeError, StoreError
from nestvec.tables.growing import NULL, UNKNOWN, GrowingSpec, GrowingTable
from nestvec.tables.growing.spec import FIRST

SMALL = GrowingSpec(dim=4, cap=1 << 20)

keys_of_all_kinds = st.one_of(
    st.text(max_size=6), st.integers(), st.integers(-3, 3), st.booleans(), st.binary(max_size=4), st.none(),
    st.floats(), st.sampled_from(["1", b"1", 1, 1.0, True, -0.0, 0, "", b"", 2**64, 2.0**64]),
)  # fmt: skip


@pytest.fixture
def table(tmp_path):
    with GrowingTable.create(tmp_path / "table", SMALL) as table:
        yield table


def null(key):
    return key is None or (isinstance(key, float) and key != key)


class AgainstADictionary(RuleBasedStateMachine):
    """Keys of several fields come, learn, are saved and opened again; a dictionary does the same."""

    @initialize()
    def begin(self):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.table = GrowingTable.create(self.folder.name + "/t", SMALL)
        self.rows, self.values = {}, {}

    def teardown(self):
        if hasattr(self, "table"):
            self.table.close()
            self.folder.cleanup()

    @rule(keys=st.lists(keys_of_all_kinds, max_size=12), field=st.sampled_from(["", "a"]))
    def admit(self, keys, field):
        expected = [NULL if null(key) else self.rows.setdefault((field, key), FIRST + len(self.rows)) for key in keys]
        assert self.table.admit(keys, field=field).tolist() == expected

    @rule(keys=st.lists(keys_of_all_kinds, max_size=12), field=st.sampled_from(["", "a", "b"]))
    def lookup(self, keys, field):
        expected = [NULL if null(key) else self.rows.get((field, key), UNKNOWN) for key in keys]
        assert self.table.lookup(keys, field=field).tolist() == expected

    @rule(number=st.integers(-2, 2), which=st.integers(0, 50))
    def put(self, number, which):
        row = which % (FIRST + len(self.rows))
        self.table.put(np.array([row]), np.full((1, 4), number))
        self.values[row] = number

    @rule(whole=st.booleans())
    def save_and_open_again(self, whole):
        self.table.compact() if whole else self.table.save()
        self.table.close()
        self.table = GrowingTable.open(self.folder.name + "/t")

    @invariant()
    def rows_are_as_they_were_put(self):
        if getattr(self, "values", None):
            rows = np.array(sorted(self.values))
            assert (self.table.values(rows)[:, 0] == [self.values[row] for row in rows.tolist()]).all()

    @invariant()
    def it_counts_its_rows(self):
        if hasattr(self, "rows"):
            assert len(self.table) == len(self.rows)
            assert self.table.occupancy.rows == sum(self.table.occupancy.fields.values())


AgainstADictionary.TestCase.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)
TestAgainstADictionary = AgainstADictionary.TestCase


def test_new_rows_start_from_their_key_alone(tmp_path):
    spec = GrowingSpec(dim=8, cap=1 << 20, spread=0.5)
    with GrowingTable.create(tmp_path / "a", spec) as a, GrowingTable.create(tmp_path / "b", spec) as b:
        a.admit(["x", "y", "z"])
        b.admit(["z"])
        first, again = a.vectors(["z"]).values, b.vectors(["z"]).values
        assert (first == again).all()
        assert np.abs(first).max() <= 0.5
        many = a.values(a.admit(np.arange(2000)))
        assert abs(many.mean()) < 0.02
        assert abs(many.std() - 0.5 / np.sqrt(3)) < 0.01
        assert (a.values(np.array([NULL, UNKNOWN])) == 0).all()


def test_another_process_finds_the_same_rows(table):
    rows = table.admit(["ann", 7, b"x", 2**70, 1.5, None])
    table.save()
    code = (
        "from nestvec.tables.growing import GrowingTable\n"
        f"with GrowingTable.open({str(table.path)!r}, write=False) as t:\n"
        "    print(t.lookup(['ann', 7, b'x', 2**70, 1.5, None]).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(rows.tolist())


def test_a_full_table_keeps_what_it_has_and_says_so(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=1, cap=1 << 20)) as table:
        most = table.spec.most_rows - FIRST
        rows = np.concatenate([table.admit(np.arange(a, a + 10_000)) for a in range(0, 300_000, 10_000)])
        assert (rows[:most] == FIRST + np.arange(most)).all()
        assert (rows[most:] == UNKNOWN).all()
        assert table.occupancy.refused == 300_000 - most
        assert table.occupancy.memory <= table.spec.cap
        assert (table.lookup(np.arange(most)) == FIRST + np.arange(most)).all()


def test_the_least_used_make_room(tmp_path):
    spec = GrowingSpec(dim=1, cap=1 << 20, expiry=True, full="least_used")
    with GrowingTable.create(tmp_path / "t", spec) as table:
        loved = np.arange(100)
        for a in range(0, 200_000, 10_000):
            table.admit(np.concatenate([loved, loved, np.arange(a + 1000, a + 11_000)]), now=float(table._made + a))
        assert (table.lookup(loved) >= FIRST).all()
        assert (table.lookup(np.arange(200_000, 201_000)) >= FIRST).all()
        assert table.lookup([1000]) == UNKNOWN
        assert table.occupancy.expired > 0
        assert len(table) <= table.occupancy.most


def test_rows_unused_for_too_long_go_and_are_given_out_again(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=2, cap=1 << 20, expiry=True)) as table:
        start = float(table._made)
        old = table.admit(["a", "b", "c"], now=start + 10)
        table.learn(old, np.ones((3, 2)))
        table.admit(["b"], now=start + 100)
        table.save()
        assert table.expire(unused_for=60.0, now=start + 130) == 2
        assert table.lookup(["a", "b", "c"]).tolist() == [UNKNOWN, old[1], UNKNOWN]
        fresh = table.admit(["d"], now=start + 131)
        assert fresh == old[0]
        assert np.abs(table.values(fresh)).max() <= table.spec.spread
        table.save()
    with GrowingTable.open(tmp_path / "t") as table:
        assert table.lookup(["a", "b", "c", "d"]).tolist() == [UNKNOWN, old[1], UNKNOWN, old[0]]
        assert table.admit(["e"], now=start + 140) == old[2]
        assert table.expire(keep=1, now=start + 150) == 2
        assert table.lookup(["b"]) == old[1]


def test_a_key_gets_its_row_when_it_has_come_often_enough(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=2, cap=1 << 20, admit_after=3)) as table:
        assert table.admit(["a", "b", "a"]).tolist() == [UNKNOWN] * 3
        table.save()
    with GrowingTable.open(tmp_path / "t") as table:
        assert table.admit(["b", "a", "c"]).tolist() == [UNKNOWN, FIRST, UNKNOWN]
        rng = np.random.default_rng(0)
        for _ in range(20):
            table.admit(rng.integers(10, 1 << 40, 1000))
        assert len(table) < 100  # of 20,000 keys that came once


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_learning_is_row_wise_adagrad(tmp_path, dtype):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=3, cap=1 << 20, dtype=dtype)) as table:
        rows = table.admit(["a", "b", "c"])
        before = table.values(rows)
        g = np.array([[1, 2, 3], [4, 0, 0], [1, 1, 1], [0, 0, 0]], np.float32)
        for _ in range(2):
            table.learn(np.array([rows[0], rows[1], rows[0], rows[2]]), g, rate=0.1)
        want, total = before.astype(np.float64), {0: g[0] + g[2], 1: g[1]}
        for i, some in total.items():
            state = 0.0
            for _ in range(2):
                state += (some**2).mean()
                want[i] -= 0.1 * some / (np.sqrt(state) + 1e-8)
        tolerance = 1e-6 if dtype == "float32" else 2.5 * np.abs(want).max() / 127
        assert np.allclose(table.values(rows), want, atol=tolerance)
        assert np.allclose(table.values(rows)[2], before[2], atol=tolerance)


def test_small_steps_of_int8_are_not_lost(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=64, cap=1 << 20, dtype="int8")) as table:
        row = table.admit(["a"])
        table.put(row, np.linspace(-1, 1, 64)[None].astype(np.float32))
        for _ in range(400):  # with one unit at 1 / 127, none of these steps would survive rounding to the nearest
            table.learn(row, np.full((1, 64), 1e-3, np.float32), rate=1e-3 * 20)
        moved = np.linspace(-1, 1, 64) - table.values(row)[0]
        assert moved.mean() > 0.3


def test_its_rows_are_vectors_of_a_space_that_training_leaves(table):
    table.admit(["a", "b"])
    before = table.vectors(["a", "b", "nobody"])
    assert before.values.shape == (3, 4)
    assert before.space == table.space
    table.learn(table.lookup(["a"]), np.ones((1, 4)))
    assert table.space.fingerprint != before.space.fingerprint


@pytest.mark.parametrize(
    ("bad", "says"), [([1 + 2j], "complex"), ([["a"]], "list"), ("abc", "one str"), (np.zeros((2, 2)), "shape")]
)
def test_what_is_no_key_is_refused(table, bad, says):
    with pytest.raises(InputError, match=says):
        table.admit(bad)
    assert len(table) == 0


def test_bad_rows_gradients_and_settings_are_refused(table, tmp_path):
    rows = table.admit(["a", "b"])
    with pytest.raises(InputError, match="rows must be 0 to 3"):
        table.values(np.array([4]))
    with pytest.raises(NotFiniteError):
        table.learn(rows, np.full((2, 4), np.nan))
    with pytest.raises(ShapeError):
        table.learn(rows, np.ones((2, 3)))
    with pytest.raises(InputError, match="one gradient a row"):
        table.learn(rows, np.ones((1, 4)))
    with pytest.raises(InputError, match="different"):
        table.put(rows[[0, 0]], np.ones((2, 4)))
    with pytest.raises(InputError, match="expiry=True"):
        table.expire(keep=1)
    with pytest.raises(InputError, match="new or empty folder"):
        GrowingTable.create(table.path, SMALL)
    with pytest.raises(LockedError, match="one writer"):
        GrowingTable.open(table.path)
    for wrong in ({"dim": 0}, {"cap": 100}, {"dtype": "int4"}, {"full": "least_used"}, {"admit_after": 0}):
        with pytest.raises(InputError):
            GrowingSpec(**{"dim": 4, **wrong})
    with GrowingTable.open(table.path, write=False) as reader, pytest.raises(StoreError, match="for reading"):
        reader.save()


def test_nothing_in_nothing_out(table):
    assert table.admit([]).shape == (0,)
    assert table.lookup(np.array([], np.int64)).shape == (0,)
    assert table.values(np.array([], np.int64)).shape == (0, 4)
    table.learn(np.array([], np.int64), np.ones((0, 4)))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=50))
@settings(max_examples=25)
def test_integers_never_collide_and_arrays_are_lists(keys):
    from nestvec.tables.growing.keys import fingerprints

    a, b = (fingerprints(some, field="f", seed=3) for some in (keys, np.array(keys, np.int64)))
    assert (a.low == b.low).all()
    assert (a.high == b.high).all()
    assert len(np.unique(a.low)) == len(keys)
