"""``nestvec evaluate``, ``compare`` and ``tasks``: figures with intervals, and what stands beside them."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, clean, faint, strong

if TYPE_CHECKING:
    from nestvec.evaluation import Result, Shelf, Suite, System
    from nestvec.evaluation.comparison import Across, Spent
    from nestvec.evaluation.kind import Kind

Tasks = Annotated[
    str,
    typer.Option("--tasks", metavar="NAME,…", help="Tasks, groups or KIND=PATH, with commas; see: nestvec tasks"),
]
Data = Annotated[
    Path | None, typer.Option("--data", envvar="NESTVEC_DATA", metavar="DIR", help="The folder of data sets.")
]
Kept = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="Where results are kept, and looked for, as MTEB does.")
]
Bare = Annotated[bool, typer.Option("--no-baselines", help="Only what is named, without BM25 and the like.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure again, whatever is kept.")]
Fewer = Annotated[
    bool, typer.Option("--downsample", help="A quarter of the data: the order of models, in a part of the time.")
]

_RESULTS = Path("nestvec-results")


def evaluate(
    system: Annotated[str, typer.Argument(metavar="MODEL|DIR", help="A model (NAME or NAME@SIZE), or a collection.")],
    tasks: Tasks = "quick",
    data: Data = None,
    results: Kept = _RESULTS,
    no_baselines: Bare = False,
    fresh: Fresh = False,
    downsample: Fewer = False,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model or a collection on tasks, with intervals, beside BM25, TF-IDF and the trivial baseline.

    Results are kept: the same command goes on where it was stopped. Exit code 1: a trivial baseline does as well.

    Example: nestvec evaluate default --tasks scifact,stsb
    """
    from nestvec.evaluation import Shelf, warnings
    from nestvec.evaluation.comparison import figures, sentences

    out = Output(as_json=json, quiet=quiet)
    with ExitStack() as opened:
        suite, loaded = _suite(tasks, data, Shelf(results, reads=not fresh), bare=no_baselines, fewer=downsample)
        one = open_system(system, opened, precision=precision, device=device)
        found = _run(suite, [one], loaded, out)
    told = warnings(found)
    out.json(
        {
            "results": [
                {"task": r.task.name, "system": r.system, "baseline": r.baseline, "trivial": r.trivial, **figures(r)}
                for r in found
            ],
            "warnings": list(sentences(told)),
        }
    )
    for _, block in _by_task(found):
        _heading(out, block[0])
        _rows(out, [(r, "baseline" if r.baseline else "") for r in sorted(block, key=lambda r: -r.outcome.score)])
    _warn(out, sentences(told))
    out.note(f"Results are in {results}. Intervals are 95 %, by bootstrap over the items of each task.")
    if any(one.trivial for one in told):
        raise typer.Exit(1)


def compare(
    systems: Annotated[
        list[str], typer.Argument(metavar="A B…", help="Two or more models (NAME or NAME@SIZE) or collections.")
    ],
    tasks: Tasks = "quick",
    data: Data = None,
    results: Kept = _RESULTS,
    no_baselines: Bare = False,
    fresh: Fresh = False,
    downsample: Fewer = False,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Say which of several systems is better, on which task, and how sure that is.

    Every pair on every task is tested on the same items, and all p-values are corrected together (Holm).

    Example: nestvec compare default default@L3-d128 --tasks scifact,stsb
    """
    from nestvec.evaluation import Shelf, warnings
    from nestvec.evaluation import compare as judge
    from nestvec.evaluation.comparison import sentences

    if len(set(systems)) < 2:
        raise typer.BadParameter(f"compare takes two or more different systems, got {', '.join(systems)}.")
    out = Output(as_json=json, quiet=quiet)
    with ExitStack() as opened:
        suite, loaded = _suite(tasks, data, Shelf(results, reads=not fresh), bare=no_baselines, fewer=downsample)
        _foresee(out, loaded)
        able = [open_system(system, opened, precision=precision, device=device) for system in dict.fromkeys(systems)]
        found = _run(suite, able, loaded, out)
    comparison = judge(found)
    told = sentences(warnings(found))
    out.json({**comparison.to_json(), "warnings": list(told)})
    for task, block in _by_task(found):
        _heading(out, block[0])
        standings = comparison.standings[task]
        ranks = [(s.result, f"rank {_span(s.low_rank, s.high_rank)}, group {s.groups}") for s in standings]
        beside = sorted((r for r in block if r.baseline), key=lambda r: -r.outcome.score)
        _rows(out, [*ranks, *((r, "baseline") for r in beside)])
        for pair in (p for p in comparison.pairs if p.task == task):
            gap = pair.found.interval
            says = "separable" if pair.separable else "not separable"
            out.line(f"  {pair.a} - {pair.b}: {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], ",
                     f"p {_p(pair.found.p)}, Holm {_p(pair.adjusted)}: ", strong(says))  # fmt: skip
            if not pair.separable:
                out.line(
                    faint(f"    so many {block[0].outcome.unit} show differences from {pair.found.detectable:.4f}")
                )
    _spent(out, comparison.spent)
    if comparison.across is not None:
        _across(out, comparison.across, len(comparison.standings))
    _warn(out, told)
    out.note(f"Results are in {results}. Intervals are 95 %. Systems that share a group cannot be told apart.")


def tasks(
    data: Data = None,
    json: AsJSON = False,
) -> None:
    """List the tasks that have a name, their kinds, and whether their data is here.

    Data of your own needs no name: --tasks retrieval=FOLDER, sts=FILE, classification=FOLDER, clustering=FILE …
    """
    from nestvec.evaluation import GROUPS, KINDS, TASKS

    out = Output(as_json=json)

    rows = {name: (task, task.here(data)) for name, task in TASKS.items()}
    out.json(
        {
            "tasks": [
                {"name": n, "kind": t.kind, "licence": t.licence, "citation": t.citation, "here": there}
                for n, (t, there) in rows.items()
            ],
            "kinds": list(KINDS),
            "groups": {name: list(members) for name, members in GROUPS.items()},
        }
    )
    out.table(
        (name, f"{task.kind.partition('@')[0]}, {task.licence}{'' if there else ', no data'}")
        for name, (task, there) in rows.items()
    )
    out.line(f"Groups: {', '.join(GROUPS)}")
    if data is None:
        out.line("Data is looked for in the folder that NESTVEC_DATA or --data names; neither is given.")


def _suite(names: str, data: Path | None, shelf: Shelf, *, bare: bool, fewer: bool) -> tuple[Suite, dict[str, Kind]]:
    from nestvec.evaluation import BASELINES, Suite, choose

    chosen = choose([name for name in names.split(",") if name.strip()])
    if not chosen:
        raise typer.BadParameter("--tasks takes one name or more; see: nestvec tasks")
    if fewer:
        chosen = tuple(task.downsampled() for task in chosen)
    suite = Suite(chosen, data=data, shelf=shelf, baselines=() if bare else BASELINES, trivial=not bare)
    return suite, suite.load()


def open_system(text: str, opened: ExitStack, *, precision: Precision, device: str) -> System:
    """A collection's folder, or the name of a model with a size after ``@``."""
    from nestvec.encoders import load
    from nestvec.evaluation import Held, Model

    if (Path(text) / "space.db").is_file():
        from nestvec.search import Collection

        return Held(opened.enter_context(Collection.open(text)), label=Path(text).resolve().name)
    name, size = named(text)
    return Model(load(name, size=size, precision=precision.value, device=device), label=text)


def named(text: str) -> tuple[str, str]:
    """Name and size of a model: ``default@L3`` is its third layer; without ``@``, or for a path, it is the full one."""
    name, _, size = text.rpartition("@") if "@" in text and not Path(text).exists() else (text, "", "")
    return name, size or "full"


def _run(suite: Suite, systems: Sequence[System], loaded: dict[str, Kind], out: Output) -> list[Result]:
    def say(task: str, system: str) -> None:
        if out.talks:
            sys.stderr.write(clean(f"{task}: {system} …") + "\n")
            sys.stderr.flush()

    return list(suite.run(systems, loaded=loaded, progress=say))


def _foresee(out: Output, loaded: dict[str, Kind]) -> None:
    """Say what the comparison can show, before it is made."""
    from nestvec.metrics import detectable_difference

    for name, kind in loaded.items():
        if kind.spread is None:
            out.note(f"{name}: {len(kind):,} pairs; what they can show is known after the run.")
            continue
        least = detectable_difference(len(kind), spread=kind.spread)
        out.note(
            f"{name}: {len(kind):,} items show true differences of {kind.metric} from about {least:.3f} (80 % power, "
            f"if differences spread by {kind.spread} as usual)."
        )


def _by_task(found: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    for name in dict.fromkeys(result.task.name for result in found):
        yield name, [result for result in found if result.task.name == name]


def _heading(out: Output, result: Result) -> None:
    outcome = result.outcome
    out.line("")
    out.line(strong(result.task.name), f"  {result.metric}, {len(outcome.items):,} {outcome.unit}")
    for note in outcome.notes:
        out.line(faint(f"  {note}"))


def _rows(out: Output, rows: Sequence[tuple[Result, str]]) -> None:
    width = max(len(result.system) for result, _ in rows)
    for result, remark in rows:
        got = result.outcome.interval()
        line = f"  {result.system:{width}}  {got.mean:7.4f}  [{got.low:.4f}, {got.high:.4f}]"
        out.line(line, faint("".join(f"  {part}" for part in (_seconds(result.cost.cpu_seconds), remark) if part)))


def _across(out: Output, across: Across, n: int) -> None:
    out.line("")
    out.line(strong(f"over {n} tasks"), "  mean of the main scores")
    width = max(len(name) for name, _ in across.means)
    ranks = across.friedman.mean_ranks.tolist() if across.friedman else [None] * len(across.means)
    for (name, mean), rank in zip(across.means, ranks, strict=True):
        out.line(f"  {name:{width}}  {mean:7.4f}" + (f"  mean rank {rank:.2f}" if rank is not None else ""))
    if across.friedman and across.nemenyi:
        out.line(f"  Friedman p {_p(across.friedman.p)}; mean ranks nearer than "
                 f"{across.nemenyi.critical_difference:.2f} cannot be told apart")  # fmt: skip
    for a, b, p in across.wilcoxon:
        out.line(f"  {a} and {b}: Wilcoxon over tasks, Holm p {_p(p)}")
    if across.least > 0.05:
        out.line(faint(f"  with {n} tasks this test cannot give a p below {across.least:.3f}: it can show nothing"))


def _spent(out: Output, spent: Sequence[Spent]) -> None:
    """What each system took over all tasks; energy only where the machine counts it."""
    out.line("")
    out.line(strong("what it took"), "  processor seconds of all threads, and for each hundredth of the scores")
    width = max(len(one.system) for one in spent)
    for one in spent:
        price = "" if one.per_point is None else f"{1e3 * one.per_point:12,.2f} CPU-ms a point"
        joules = "" if one.joules is None else f"  {one.joules:.0f} J of the processor packages"
        out.line(f"  {one.system:{width}}  {_seconds(one.cpu_seconds) or 'not known'}{price}{joules}")
    if len({machine for one in spent for machine in one.machines}) > 1:
        out.line(faint("  not all on the same processor: measure again with --fresh to compare them"))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:8,.2f} CPU-s"


def _warn(out: Output, told: Sequence[str]) -> None:
    if told and not out.as_json:
        out.line("")
        for one in told:
            out.block(f"warning: {one}")


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<.001"
