"""What it costs to import nestvec and to ask its command line for help, in fresh interpreters."""

from __future__ import annotations

import statistics
import subprocess
import sys

from benchmarks.harness import Outcome, times

_HELP = "import sys; sys.argv = ['nestvec', '--help']; from nestvec.apps.cli import main; main()"
_HEAVY = ("torch", "transformers", "faiss", "numba")


def run(*, quick: bool) -> Outcome:
    """Median wall seconds of whole processes, taken in turn, the interpreter's own start-up beside them."""
    repeats = 5 if quick else 21
    work = {
        "interpreter alone": "pass",
        "import numpy": "import numpy",
        "import nestvec": "import nestvec",
        "import Collection": "from nestvec import Collection",
        "nestvec --help": _HELP,
    }
    broken = {name: reason for name, code in work.items() if (reason := _failure(code))}
    runs = {name: _process(code) for name, code in work.items() if name not in broken}
    taken = dict(zip(runs, times(*runs.values(), repeats=repeats), strict=True))
    middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
    start = middle["interpreter alone"]
    loaded = _loaded("from nestvec import Collection" if "import Collection" in middle else "import nestvec")
    figures = {
        "import_s": middle.get("import Collection", middle.get("import nestvec")),
        "torch_loaded": int("torch" in loaded),
        "help_s": middle.get("nestvec --help"),
        "import_nestvec_s": middle.get("import nestvec"),
        "interpreter_s": start,
        "modules": len(loaded),
    }
    outcome = Outcome(figures, ("process", "median s", "over interpreter s", "slowest s"))
    outcome.rows = [(name, middle[name], middle[name] - start, max(taken[name])) for name in middle]
    outcome.missing = {{"nestvec --help": "help_s"}.get(name, name): reason for name, reason in broken.items()}
    heavy = sorted(loaded & set(_HEAVY))
    outcome.notes = [
        f"{repeats} runs each, in turn; seconds are of the whole process and include the interpreter's {start:.3f}.",
        "import_s is `from nestvec import Collection`, as in a program; a bare `import nestvec` is import_nestvec_s.",
        f"heavy libraries loaded by it: {', '.join(heavy) or 'none'}.",
    ]
    return outcome


def _command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _process(code: str):  # type: ignore[no-untyped-def]  # a closure that harness.times calls
    return lambda: subprocess.run(_command(code), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _failure(code: str) -> str:
    """Why ``code`` cannot run at all; empty if it can."""
    done = subprocess.run(_command(code), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]


def _loaded(code: str) -> set[str]:
    done = subprocess.run(
        _command(f"{code}\nimport sys; print(*sys.modules)"), capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())
