"""What a measurement took: nestvec.evaluation.cost."""

import json
import threading

import pytest

from nestvec.evaluation import Cost, Shelf, Suite, Task, compare
from nestvec.evaluation.cost import Meter, per_point
from nestvec.evaluation.results import items_path
from nestvec.kernels.cpu import cpu_name
from tests.evaluation.conftest import Letters


def counter(folder, name, now, span=10**12):
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "energy_uj").write_text(f"{now}\n")
    (place / "max_energy_range_uj").write_text(f"{span}\n")
    return place


def test_the_work_of_all_threads_is_counted():
    def work():
        sum(i * i for i in range(300_000))

    meter = Meter.start()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both = meter.stop()
    meter = Meter.start()
    idle = meter.stop()
    assert both.cpu_seconds > idle.cpu_seconds >= 0
    assert both.seconds > 0
    assert both.machine == cpu_name() != ""


def test_energy_is_the_sum_over_packages_and_not_over_their_parts(tmp_path):
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        counter(tmp_path, name, 1_000_000)
    meter = Meter.start(tmp_path)
    counter(tmp_path, "intel-rapl:0", 3_000_000)
    counter(tmp_path, "intel-rapl:1", 1_500_000)
    counter(tmp_path, "intel-rapl:0:0", 9_000_000)
    assert meter.stop().joules == 2.5


def test_a_counter_that_began_anew(tmp_path):
    counter(tmp_path, "intel-rapl:0", 10**12 - 1_000_000)
    meter = Meter.start(tmp_path)
    counter(tmp_path, "intel-rapl:0", 2_000_000)
    assert meter.stop().joules == 3.0


def test_no_energy_is_invented(tmp_path):
    assert Meter.start(tmp_path / "nothing").stop().joules is None
    counter(tmp_path, "intel-rapl:0", 5)
    gone = Meter.start(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert gone.stop().joules is None
    assert Meter.start(tmp_path).stop().joules is None
    counter(tmp_path, "intel-rapl:0", 5, span=1)  # it may have gone round any number of times
    assert Meter.start(tmp_path).stop().joules is None


def test_a_price_needs_an_amount_and_a_score():
    assert per_point(12.0, 0.5) == pytest.approx(0.24)
    assert per_point(None, 0.5) is None
    assert per_point(12.0, 0.0) is None
    assert per_point(12.0, -0.1) is None
    assert per_point(12.0, float("nan")) is None


def test_the_processor_has_a_name(tmp_path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor : 0\nmodel name\t: A  Very Fast(R) CPU\n")
    assert cpu_name(told) == "A Very Fast(R) CPU"
    assert cpu_name(tmp_path / "none") != ""


def test_costs_are_kept_beside_the_figures(own, model, tmp_path):
    task = Task("zero", "zero_shot@1", str(own["zero_shot"]))
    suite = Suite((task,), shelf=Shelf(tmp_path), baselines=(), trivial=False)
    first = next(iter(suite.run([model])))
    assert first.cost.cpu_seconds >= 0
    assert first.cpu_per_point == per_point(first.cost.cpu_seconds, first.outcome.score)
    again = next(iter(suite.run([model])))
    assert again.kept
    assert again.cost == first.cost
    path = suite.shelf.place(model.name, model.fingerprint, "zero")
    told = json.loads(path.read_text())
    assert told["nestvec"]["cost"] == first.cost.to_json()
    assert told["evaluation_time"] == first.cost.seconds
    assert {"dataset_revision", "task_name", "mteb_version", "scores", "kg_co2_emissions"} <= set(told)
    assert items_path(path).is_file()


def test_a_result_of_an_earlier_version_has_no_cost_and_still_counts(own, model, tmp_path):
    suite = Suite((Task("zero", "zero_shot@1", str(own["zero_shot"])),), shelf=Shelf(tmp_path), baselines=(),
                  trivial=False)  # fmt: skip
    next(iter(suite.run([model])))
    path = suite.shelf.place(model.name, model.fingerprint, "zero")
    told = json.loads(path.read_text())
    del told["nestvec"]["cost"]
    path.write_text(json.dumps(told))
    again = next(iter(suite.run([model])))
    assert again.kept
    assert (again.cost.cpu_seconds, again.cost.joules, again.cpu_per_point) == (None, None, None)
    told["nestvec"]["cost"] = "much"
    path.write_text(json.dumps(told))
    assert not next(iter(suite.run([model]))).kept


def test_a_comparison_says_what_each_system_took(own, model, tmp_path):
    from nestvec.evaluation import Model

    other = Model(Letters(dim=16), label="small")
    tasks = [Task(name, f"{name}@1", str(own[name])) for name in ("zero_shot", "bitext")]
    results = list(Suite(tasks, baselines=(), trivial=False).run([model, other]))
    found = compare(results)
    assert [one.system for one in found.spent] == ["letters", "small"]
    mine = [r for r in results if r.system == "small"]
    spent = found.spent[1]
    assert spent.cpu_seconds == pytest.approx(sum(r.cost.cpu_seconds for r in mine))
    assert spent.per_point == pytest.approx(spent.cpu_seconds / sum(100 * r.outcome.score for r in mine))
    assert spent.machines == (cpu_name(),)
    told = json.loads(json.dumps(found.to_json()))
    assert told["spent"][1]["cpu_seconds"] == spent.cpu_seconds
    assert told["tasks"]["bitext"][0]["cpu_seconds"] >= 0
    unknown = [*results[:-1], type(mine[0])(**{**vars(results[-1]), "cost": Cost(1.0)})]
    assert compare(unknown).spent[1].cpu_seconds is None
