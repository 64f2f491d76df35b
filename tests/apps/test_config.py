"""Where settings come from: nestvec.apps.cli.config."""

import inspect
import json
from pathlib import Path

import pytest

from nestvec.apps.cli import config, exporting, indexing, keeping, searching


def shown(nestvec, *args):
    return json.loads(nestvec("config", "show", "--origin", "--json", *args).stdout)


def test_a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default(
    nestvec, made, monkeypatch
):
    def found(*args):
        done = nestvec("search", made, "moon bread ship", "--mode", "lexical", "--json", *args)
        return len(json.loads(done.stdout)["results"])

    assert found() == 3
    assert shown(nestvec)["k"] == {"value": 10, "origin": "default"}
    Path("nestvec.toml").write_text("k = 2\n")
    assert found() == 2
    assert shown(nestvec)["k"] == {"value": 2, "origin": "file, nestvec.toml"}
    monkeypatch.setenv("NESTVEC_K", "1")
    assert found() == 1
    assert shown(nestvec)["k"] == {"value": 1, "origin": "environment, NESTVEC_K"}
    assert found("-k", "3") == 3


def test_which_file_counts(nestvec, tmp_path, monkeypatch):
    user = tmp_path / "xdg" / "nestvec"
    user.mkdir(parents=True)
    (user / "config.toml").write_text("k = 3\nmode = 'lexical'")
    assert shown(nestvec)["k"]["value"] == 3
    Path("nestvec.toml").write_text("k = 4")
    assert shown(nestvec)["k"]["value"] == 4
    assert shown(nestvec)["mode"]["value"] == "dense"  # one file counts, not a mixture
    Path("other.toml").write_text("k = 5")
    assert shown(nestvec, "--config", "other.toml")["k"]["value"] == 5
    assert shown(nestvec, "--config=other.toml")["k"]["value"] == 5
    monkeypatch.setenv("NESTVEC_CONFIG", "other.toml")
    assert shown(nestvec)["k"]["value"] == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kk = 2", "unknown setting 'kk'; did you mean 'k'?"),
        ("zebra = 2", "there are model"),
        ("k = 'two'", "k must be a whole number, got 'two'"),
        ("k = true", "must be a whole number"),
        ("k = 0", "at least 1"),
        ("quiet = 1", "true or false"),
        ("mode = 'fast'", "one of dense, lexical"),
        ("k = ", "must be TOML"),
        ("[search]\nk = 2", "unknown setting 'search'"),
    ],
)
def test_mistakes_in_the_file(nestvec, text, says):
    Path("nestvec.toml").write_text(text)
    done = nestvec("config", "show", expect=3)
    assert says in done.stderr
    assert "nestvec.toml" in done.stderr


def test_mistakes_around_the_file(nestvec, made, monkeypatch):
    assert "readable" in nestvec("--config", "none.toml", "info", made, expect=3).stderr
    Path("bytes.toml").write_bytes(b"\xff")
    assert "TOML" in nestvec("--config", "bytes.toml", "info", made, expect=3).stderr
    monkeypatch.setenv("NESTVEC_K", "many")
    assert "NESTVEC_K" in nestvec("config", "show", expect=3).stderr
    assert "NESTVEC_K" in nestvec("search", made, "x", expect=2).stderr


def test_quiet_from_the_environment(nestvec, made, monkeypatch):
    monkeypatch.setenv("NESTVEC_QUIET", "1")
    assert shown(nestvec)["quiet"]["value"] is True
    assert nestvec("verify", made).output == ""


def test_names_in_the_environment_that_are_no_settings_do_no_harm(nestvec, monkeypatch):
    monkeypatch.setenv("NESTVEC_DATA", "somewhere")
    assert "NESTVEC_DATA" not in nestvec("config", "show").output


def test_for_people(nestvec):
    text = nestvec("config", "show", "--origin").stdout
    assert len(text.splitlines()) == len(config.SETTINGS)
    assert "(depends)" in text


def test_a_setting_has_one_default():
    commands = (indexing.index, searching.search, exporting.export, keeping.verify)
    for command in commands:
        for name, parameter in inspect.signature(command).parameters.items():
            if name in config.SETTINGS:
                assert parameter.default == config.SETTINGS[name].default, (command, name)
