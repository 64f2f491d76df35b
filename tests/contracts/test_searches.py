"""What every search for a structure must do. Runs over the catalogue: a new one is tested by being listed."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import BudgetError, InputError, UnknownNameError  # noqa: E402
from nestvec.tables import (  # noqa: E402
    SEARCHES,
    FrozenTable,
    RowWiseAdagrad,
    Search,
    Table,
    TableSpec,
    fit_spec,
    least_bytes,
    make_spec,
    stored_bytes,
)  # fmt: skip
from nestvec.tables.search import Found, Start, Strategy, SupernetRows  # noqa: E402

ROWS, DIM, BYTES, STEPS = (400, 3, 90), 8, 8_000, 30
TOTAL = sum(ROWS)
ALL = torch.arange(-1, TOTAL)

searches = pytest.mark.parametrize("name", list(SEARCHES))


def spec_of(name, budget=BYTES, **changes):
    return fit_spec(name, ROWS, DIM, budget, seed=5, **changes)


def drive(spec, *, steps=STEPS, upto=None):
    """Train a supernet to say what is wanted of each id; frequent ids come often."""
    search = Search(spec, steps=steps)
    rng = np.random.default_rng(0)
    wanted = torch.from_numpy(rng.standard_normal((TOTAL, spec.dim)).astype(np.float32))
    optimiser = RowWiseAdagrad(search.table.parameters(), lr=0.1)
    search.table.train()

    def slopes():
        ids = torch.from_numpy(np.minimum(rng.geometric(0.01, 64), TOTAL) - 1)
        optimiser.zero_grad()
        ((search.table(ids) - wanted[ids]).square().mean() + search.penalty()).backward()

    for _ in range(upto or steps):
        slopes()
        optimiser.step()
        search.table.after_step(lr=0.1)
        if search.choosing:
            slopes()
            search.choose()
    search.table.eval()
    return search


def judge_of(search):
    return lambda: -search.table(ALL).square().sum().item()


@pytest.fixture(scope="module")
def found():
    done = {}

    def of(name):
        if name not in done:
            search = drive(spec_of(name))
            done[name] = search, search.harden(judge_of(search))
        return done[name]

    return of


@searches
def test_it_ends_in_an_ordinary_table_of_its_size(found, name, tmp_path):
    search, table = found(name)
    assert isinstance(search.strategy, Strategy)
    assert isinstance(search.rows, SupernetRows)
    assert search.rows.done == 1
    assert search.rewinds in (True, False)
    spec = spec_of(name)
    assert spec.search == name
    assert spec.sought
    assert spec.name == name.partition("@")[0]
    assert TableSpec.from_json(spec.to_json()) == spec
    assert not table.spec.search
    assert (table.spec.method, table.spec.seed) == (spec.method, 5)
    table.freeze().save(tmp_path / "ids.table")
    size = (tmp_path / "ids.table").stat().st_size
    assert size == stored_bytes(table.spec) == table.nbytes <= stored_bytes(spec) <= BYTES
    assert TableSpec.from_json(table.spec.to_json()) == table.spec
    assert isinstance(search.strategy.found(search.rows.full.weight.detach(), judge_of(search)), Found)
    assert isinstance(Start(spec, search.table.spec.sizes, torch.zeros(1, DIM), 3).steps, int)


@searches
def test_what_is_saved_is_loaded_and_goes_on_learning(found, name, tmp_path):
    table = found(name)[1].eval()
    frozen = table.freeze()
    frozen.save(tmp_path / "ids.table")
    loaded = FrozenTable.load(tmp_path / "ids.table")
    assert loaded.rows(ALL.numpy()).tobytes() == frozen.rows(ALL.numpy()).tobytes()
    assert np.abs(table(ALL).detach().numpy() - loaded.rows(ALL.numpy())).max() < 1e-6
    assert torch.equal(Table.thaw(loaded).eval()(ALL), table(ALL))
    assert Table.thaw(loaded).freeze().nbytes == frozen.nbytes


def test_served_without_torch(found, tmp_path):
    for number, name in enumerate(SEARCHES):
        found(name)[1].freeze().save(tmp_path / f"{number}.table")
    code = f"""
import sys
import numpy as np
from nestvec.tables import FrozenTable
for n in range({len(SEARCHES)}):
    rows = FrozenTable.load(r"{tmp_path}/" + f"{{n}}.table").rows(np.arange({TOTAL}))
    assert np.isfinite(rows).all() and rows.any()
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@searches
def test_the_structure_stays_while_it_learns(found, name):
    """Only rows that are used change, and what was dropped stays zero."""
    table = Table.thaw(found(name)[1].freeze()).train()
    before = table(ALL).detach()
    ids = torch.tensor([0, 0, 17, 401, 450, -1])
    optimiser = RowWiseAdagrad([p for n, p in table.named_parameters() if "projections" not in n], lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (table(ids) - 1).square().sum().backward()
        optimiser.step()
        table.after_step(lr=0.1)
    after = table(ALL).detach()
    changed = (before != after).any(dim=1).nonzero()[:, 0] - 1
    assert len(changed) > 0
    assert set(changed.tolist()) <= set(ids.tolist())
    if table.spec.method != "field_dims@1":
        assert not after[before == 0].any()
    assert not after[0].any()
    assert table.freeze().nbytes == stored_bytes(table.spec)


@searches
def test_two_searches_find_the_same(found, name):
    _, table = found(name)
    search = drive(spec_of(name))
    again = search.harden(judge_of(search))
    assert again.spec == table.spec
    assert again.freeze().rows(ALL.numpy()).tobytes() == table.freeze().rows(ALL.numpy()).tobytes()


@searches
def test_where_it_begins_again_first_values_are_those_of_a_new_table(found, name):
    search, table = found(name)
    rows = table.held["rows"].weight if "rows" in table.held else None
    if search.rewinds and rows is not None:
        assert torch.equal(rows, Table(make_spec("full", ROWS, DIM, seed=5, exact_below=table.spec.exact_below))
                           .held["rows"].weight)  # fmt: skip
    if not search.rewinds:
        assert not torch.equal(rows, Table(table.spec).held["rows"].weight)
        assert torch.equal(table.held["exact"].weight, search.table.held["exact"].weight)


@searches
@pytest.mark.parametrize("codec", ["float16", "int8", "alpt4", "dpq4"])
def test_codecs_go_with_it(found, name, codec, tmp_path):
    search = drive(spec_of(f"{name}+{codec}", budget=6_000), upto=3)
    table = search.harden(judge_of(search)).eval()
    assert table.spec.codec == codec
    frozen = table.freeze()
    frozen.save(tmp_path / "ids.table")
    assert (tmp_path / "ids.table").stat().st_size == stored_bytes(table.spec) <= 6_000
    exact, got = table(ALL).detach().numpy(), frozen.rows(ALL.numpy())
    assert np.sqrt(np.square(exact - got).mean()) <= 0.02 * np.sqrt(np.square(exact).mean())


@searches
def test_padding_empty_batches_and_bags_while_it_is_sought(name):
    search = drive(spec_of(name), upto=5)
    for table in (search.table, search.harden(judge_of(search)).eval()):
        assert table(torch.empty(0, dtype=torch.int64)).shape == (0, DIM)
        ids = torch.tensor([[3, -1], [401, 480]])
        rows = table(ids)
        assert rows.shape == (2, 2, DIM)
        assert not rows[0, 1].any()
        bags = table.bags(ids.flatten(), torch.tensor([0, 3, 3]), torch.tensor([0.5, 9.0, 2.0, -1.0]))
        want = torch.stack([rows[0, 0] / 2 + 2 * rows[1, 0], torch.zeros(DIM), -rows[1, 1]])
        assert torch.allclose(bags, want, atol=1e-6)
        with pytest.raises(InputError, match=rf"\[0, {TOTAL}\), got {TOTAL}"):
            table(torch.tensor([TOTAL]))


@searches
def test_a_wish_is_no_table(name):
    spec = spec_of(name)
    with pytest.raises(InputError, match=f"that of {spec.name} is found while a model trains"):
        Table(spec)
    with pytest.raises(InputError, match="must be found before it is frozen"):
        Search(spec, steps=3).table.freeze()
    with pytest.raises(InputError, match="steps must be at least 1"):
        Search(spec, steps=0)
    with pytest.raises(InputError, match="needs a spec with a structure to find, got hash"):
        Search(make_spec("hash", 10, 4, buckets=5), steps=3)
    with pytest.raises(InputError, match="must end in"):
        TableSpec("hash@1", ROWS, DIM, search=name)


@searches
def test_it_says_how_small_it_can_be(name):
    least = least_bytes(name, ROWS, DIM)
    with pytest.raises(BudgetError, match=f"{name} of 493 ids and dim 8 needs at least {least:,} bytes"):
        fit_spec(name, ROWS, DIM, least - 1)
    search = drive(fit_spec(name, ROWS, DIM, least), upto=4)
    assert search.harden(judge_of(search)).nbytes <= least
    assert spec_of(name, budget=10**6).compressor is not None
    whole = drive(spec_of(name, budget=10**6), upto=4)  # nothing has to go
    assert whole.harden(judge_of(whole)).nbytes <= 10**6
    assert not fit_spec(name, 20, 4, 10**6).sought  # a field so small is exact, and there is nothing to find
    assert Table(fit_spec(name, 20, 4, 10**6))(torch.arange(20)).shape == (20, 4)


def test_names():
    assert make_spec("pep+int8", 500, 8, kept=9).search == "pep@1"
    assert make_spec("deeplight@1", 500, 8, kept=9).method == "sparse@1"
    with pytest.raises(UnknownNameError, match="pep@3"):
        fit_spec("pep@3", 500, 8, 9000)
    with pytest.raises(UnknownNameError, match="did you mean 'pep@1'"):
        TableSpec("sparse@1", (5,), 4, search="pep@2")
