"""Kills, power cuts, flipped bits and failing disks, done to real collections; the tests and the benchmark share it.

Everything that forks runs in a process of its own, which imports nothing but the store and starts no thread::

    python -m benchmarks._faults DRIVER FOLDER '{"option": 1}'    # prints one JSON object

The option ``bands`` does it to collections whose leading dimensions lie apart, ``several`` to those whose rows hold
several codes each.

The workload is a fixed function of the number of the batch, so what a collection must hold after any batch
is known without asking the collection.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks._damage import flips, full, log_flips, readers, refusals
from benchmarks._stops import kills, points, power
from benchmarks._workload import BANDS, SETTINGS, WIDTH, require

ROOT = Path(__file__).resolve().parents[1]

DRIVERS: dict[str, Callable[..., dict[str, int]]] = {
    "kills": kills,
    "points": points,
    "power": power,
    "flips": flips,
    "log_flips": log_flips,
    "refusals": refusals,
    "full": full,
    "readers": readers,
}


def drive(name: str, folder: Path, **options: object) -> dict[str, int]:
    """Run a driver in a fresh process and return what it counted.

    Raises:
        BrokenPromiseError: it found something, or failed.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks._faults", name, str(folder), json.dumps(options)],
        env={**{k: v for k, v in os.environ.items() if k != "NESTVEC_CHECK_SHAPES"}, **one},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    require(run.returncode == 0, f"{name} {options}: {run.stderr[-3000:]}")
    sys.stderr.write(run.stderr)
    counts: dict[str, int] = json.loads(run.stdout)
    return counts


def main() -> None:
    """One driver."""
    name, folder, told = sys.argv[1:]
    options = json.loads(told)
    if options.pop("bands", False):
        SETTINGS["bands"] = BANDS
    if options.pop("several", False):
        SETTINGS.update({"arrays": {**SETTINGS["arrays"], "tokens": WIDTH}, "ragged": ["tokens"]})
    print(json.dumps(DRIVERS[name](Path(folder), **options)))


if __name__ == "__main__":
    main()
