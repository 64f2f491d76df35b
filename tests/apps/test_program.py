"""The program as a whole: nestvec.apps.cli with its errors, nestvec.apps.cli.console, nestvec.apps.cli.doctor."""

import json
import subprocess
import sys
import warnings

import pytest

from nestvec import __version__
from nestvec.apps.cli import app, config, console, doctor, errors
from nestvec.core import errors as library


def test_help_names_every_command_and_fits(nestvec):
    text = nestvec("--help").stdout
    for name in config.COMMANDS:
        assert f"  {name} " in text
        lines = nestvec(name, "-h").stdout.splitlines()
        assert all(len(line) <= 80 for line in lines)
    assert nestvec(expect=2).stderr == text
    assert "show" in nestvec("config", expect=2).stderr
    assert nestvec("--version").stdout == f"nestvec {__version__}\n"


def test_help_loads_nothing_heavy(process):
    code = "import sys, nestvec.apps.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"apsw", "torch", "nestvec.search.collection", "rich.console"} & set(loaded)
    done = process("--version")
    assert done.stdout.decode() == f"nestvec {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (library.NotFoundError("x"), 1),
        (library.InputError("x"), 3),
        (library.FilterError("x"), 3),
        (library.MissingExtraError("X", "text"), 4),
        (library.NoCollectionError("x"), 5),
        (library.DiskError("x"), 5),
        (PermissionError(13, "Permission denied", "f"), 5),
        (library.NestvecError("x"), 3),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_every_error_has_its_code_and_is_one_sentence(nestvec, made, monkeypatch, error, code):
    assert errors.code_of(error) == code

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("nestvec.store.verify", fail)
    done = nestvec("verify", made, "--json", expect=code)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in nestvec("verify", made, "--debug", expect=code).stderr
    monkeypatch.setenv("NESTVEC_DEBUG", "1")
    assert "Traceback" in nestvec("verify", made, expect=code).stderr


def test_warnings_are_one_line(nestvec, made, monkeypatch):
    def warn(*_, **__):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning(UserWarning("take care"), UserWarning, "f", 1)
        raise KeyboardInterrupt

    monkeypatch.setattr("nestvec.store.verify", warn)
    assert nestvec("verify", made, expect=130).stderr == "warning: take care\ninterrupted\n"


def test_a_reader_that_has_seen_enough(own):
    for args in (["search", str(own), "-", "--mode", "lexical", "--json"], ["export", str(own), "--to", "-"]):
        running = subprocess.Popen(
            [sys.executable, "-m", "nestvec", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        running.stdout.close()
        try:
            running.stdin.write(b"moon\n" * 2000)
            running.stdin.close()
        except BrokenPipeError:
            pass
        assert running.stderr.read() == b""
        assert running.wait(60) == 141
        running.stderr.close()


def test_without_a_terminal_or_with_no_color_nothing_is_coloured(process, own):
    done = process("search", own, "moon", "--mode", "lexical")
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    done = process("search", own, "moon", "--mode", "lexical", "--json")
    assert json.loads(done.stdout)["results"][0]["id"] == "moon"
    assert done.stderr == b""


def test_options_of_the_program_may_stand_anywhere():
    assert errors._general_first(["info", "c", "--debug"]) == ["--debug", "info", "c"]
    assert errors._general_first(["x", "--config", "f", "y"]) == ["--config", "f", "x", "y"]
    assert errors._general_first(["search", "c", "--", "--debug"]) == ["search", "c", "--", "--debug"]
    assert errors._general_first(["x", "--config"]) == ["x", "--config"]


def test_doctor(nestvec, monkeypatch):
    found = json.loads(nestvec("doctor", "--json").stdout)
    assert found["nestvec"] == __version__
    assert set(found["extras"]) == set(doctor.EXTRAS)
    monkeypatch.setattr(doctor, "_version", lambda distribution, module: None)
    text = nestvec("doctor").stdout
    for extra in doctor.EXTRAS:
        assert f"pip install 'nestvec[{extra}]'" in text


def test_doctor_knows_what_the_project_asks_for():
    import tomllib
    from pathlib import Path

    asked = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    def names(lines):
        return {line.split(">")[0] for line in lines}

    assert set(doctor.REQUIRED) == names(asked["dependencies"])
    for extra, (_, libraries) in doctor.EXTRAS.items():
        assert {name for name, _ in libraries} == names(asked["optional-dependencies"][extra])


def test_parity(nestvec, model):
    found = json.loads(nestvec("parity", model, "--json").stdout)
    assert found["passed"]
    assert "passed" in nestvec("parity", model, "--precision", "float32").stdout
    assert nestvec("parity", model, "-q").stdout == ""


def test_parity_that_fails(nestvec, model, monkeypatch):
    monkeypatch.setattr("nestvec.encoders.parity.COSINE_FLOOR", 2.0)
    assert "FAILED" in nestvec("parity", model, expect=1).stdout
    assert "is none of them" in nestvec("parity", "./nowhere", expect=3).stderr


def test_figures_for_people():
    assert [console.size(n) for n in (0, 999, 1500, 2_500_000, 340_000_000, 7 * 10**12)] == [
        "0 bytes", "999 bytes", "1.5 kB", "2.5 MB", "340 MB", "7.0 TB",
    ]  # fmt: skip
    assert [console.duration(s) for s in (0.04, 9.96, 61.0, 3600.0, 9000.0)] == [
        "0.0 s",
        "10.0 s",
        "61 s",
        "60 min",
        "2 h 30 min",
    ]
    assert [console.several(n, "row") for n in (0, 1, 1000)] == ["0 rows", "1 row", "1,000 rows"]
    assert console.clean("a\x1b[2Jb\u202ec\ud800\n\t") == "a\ufffd[2Jb\ufffdc?\n\t"


def test_json_survives_an_output_that_is_not_unicode(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        console.Output(as_json=True).json({"é": "\ud800"})
    assert json.loads((tmp_path / "out").read_text()) == {"é": "\ud800"}


def test_running_as_a_module(process):
    assert process("nonsense").returncode == 2
    assert app.info.name == "nestvec"
