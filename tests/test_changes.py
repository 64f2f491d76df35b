"""The script that makes a change log of fragments."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def collect():
    spec = importlib.util.spec_from_file_location("collect", ROOT / "changes" / "collect.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def log(tmp_path, collect):
    path = tmp_path / "CHANGELOG.md"
    path.write_text(f"# Changes\n\n{collect.MARK}\n\n## 0.1.0 (2026-01-01)\n\n### Added\n\n- Before. (#1)\n")
    return path


def write(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / (name.strip("_").replace("_", ".") + ".md")).write_text(text)
    return folder


def test_fragments_become_a_section_above_the_earlier_ones_and_go(tmp_path, collect, log):
    folder = write(tmp_path / "changes", _12_fixed="A crash.\n", _3_added="One thing,\nin two lines.\n", _12_added="B.")
    collect.collect(folder, log, version="0.2.0", date="2026-02-01")
    assert log.read_text() == (
        f"# Changes\n\n{collect.MARK}\n\n## 0.2.0 (2026-02-01)\n\n"
        "### Added\n\n- One thing,\n  in two lines. (#3)\n- B. (#12)\n\n### Fixed\n\n- A crash. (#12)\n\n"
        "## 0.1.0 (2026-01-01)\n\n### Added\n\n- Before. (#1)\n"
    )
    assert not list(folder.iterdir())


def test_two_entries_of_one_issue_keep_their_order(tmp_path, collect):
    folder = write(tmp_path / "changes", _2_added_1="second", _2_added="first", _10_added="third")
    assert [path.read_text() for path in collect.fragments(folder)["added"]] == ["first", "second", "third"]


@pytest.mark.parametrize("name", ["added", "x.added", "1.new", "1"])
def test_a_misnamed_fragment_stops_the_release_untouched(tmp_path, collect, log, name):
    folder = write(tmp_path / "changes", _1_added="fine")
    (folder / f"{name}.md").write_text("text")
    before = log.read_text()
    with pytest.raises(ValueError, match="named like"):
        collect.collect(folder, log, version="0.2.0", date="2026-02-01")
    assert log.read_text() == before
    assert (folder / "1.added.md").exists()


def test_nothing_to_say_a_version_twice_or_a_log_without_its_mark(tmp_path, collect, log):
    folder = write(tmp_path / "changes")
    with pytest.raises(ValueError, match="got none"):
        collect.collect(folder, log, version="0.2.0", date="2026-02-01")
    write(folder, _1_added="fine")
    with pytest.raises(ValueError, match=r"'0\.1\.0' again"):
        collect.collect(folder, log, version="0.1.0", date="2026-02-01")
    log.write_text("# Changes\n")
    with pytest.raises(ValueError, match="must hold the line"):
        collect.collect(folder, log, version="0.2.0", date="2026-02-01")
    write(folder, _2_added="\n")
    with pytest.raises(ValueError, match="say something"):
        collect.fragments(folder)


def test_the_fragments_of_this_project_are_well_formed(collect):
    collect.fragments(ROOT / "changes")
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").count(collect.MARK) == 1
