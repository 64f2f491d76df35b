"""``nestvec trajectory`` and its page (nestvec.apps.cli.following, nestvec.apps.explore.way, .curves and .grey)."""

import json
import re
import zlib
from base64 import b64decode

import numpy as np
import pytest

from nestvec.apps.cli.following import Piece, pieces
from nestvec.apps.explore import curves, grey
from nestvec.apps.explore.way import beginning
from nestvec.core.errors import InputError

PARTS = ("the cat sat on the mat and the dog", "the moon pulls the water of the sea", "bake the bread in the oven")


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.txt"
    words = [f"{part} {i % 3}" for part in PARTS for i in range(12)]
    path.write_text("\n".join(words) + "\n\n", encoding="utf-8")
    return path


def test_a_text_is_followed_by_two_sizes(nestvec, model, talk, tmp_path):
    done = nestvec("trajectory", talk, "-m", model, "-m", f"{model}@d8", "--html", tmp_path / "way.html")
    assert "36 lines, 8 compared on each side" in done.stdout
    assert re.search(r" 1 to 12 +the cat sat", done.stdout)
    assert re.search(r"13 to 24 +0\.\d+  0\.0\d+  the moon pulls", done.stdout)
    assert "Spearman" in done.stdout
    page = (tmp_path / "way.html").read_text()
    assert page.count("<svg") == 2
    assert page.count('src="data:image/png;base64,') == 2
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    told = json.loads(nestvec("trajectory", talk, "-m", model, "--confidence", 0.9, "--json").stdout)
    assert [turn["start"] for turn in told["trajectories"][0]["boundaries"]] == [12, 24]
    assert told["agreement"] == []
    assert len(told["trajectories"][0]["successive"]) == 35


def test_a_file_is_cut_as_asked(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("\ufeffOne here. Two there.\nThree.\n\nFour is last. Five is not.\n", encoding="utf-8")
    assert pieces(path, Piece.SENTENCE) == ["One here.", "Two there.", "Three.", "Four is last.", "Five is not."]
    with pytest.raises(InputError, match=r"got 3 lines in .* With --by sentence a line may hold several\."):
        pieces(path, Piece.LINE)
    with pytest.raises(InputError, match=r"got 2 paragraphs in .* Try --by sentence\."):
        pieces(path, Piece.PARAGRAPH)


def test_what_is_no_text_is_said(nestvec, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"ab\xff\xfe" * 9)
    assert "UTF-8, got bytes that are not at 2" in nestvec("trajectory", tmp_path / "x.bin", expect=3).stderr
    assert "No such file" in nestvec("trajectory", tmp_path / "none.txt", expect=5).stderr


def test_a_long_text_is_shown_by_its_beginning():
    assert beginning("a  b\nc") == "a b c"
    assert len(beginning("word " * 99)) == 90


def test_a_picture_is_a_png_of_the_matrix():
    image = grey.image(np.array([[1.0, 0.0], [0.0, 1.0]]), alt="two")
    data = b64decode(re.search('base64,([^"]+)', image)[1])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big")
    assert zlib.decompress(data[start : start + length]) == b"\0\xff\x00\0\x00\xff"
    assert data.endswith(zlib.crc32(b"IEND").to_bytes(4, "big"))
    large = np.zeros((1000, 1000))
    large[:500, :500] = 1
    assert int.from_bytes(b64decode(re.search('base64,([^"]+)', grey.image(large, alt=""))[1])[16:20], "big") == 480


def test_lines_stay_inside_their_axes():
    drawn = curves.drawing(
        {"a<b": [(0.0, 1.0), (9.0, 5.0)], "flat": [(0.0, 2.0), (9.0, 2.0)]}, x="step", y="rank", marks=[5.0]
    )
    assert "a&lt;b" in drawn
    assert drawn.count("<polyline") == 2
    places = [float(v) for pair in re.findall(r'points="([^"]+)"', drawn) for v in re.split("[ ,]", pair)]
    assert min(places) >= 0
    assert max(places) <= 900
    assert 'class="m"' in drawn
    assert "<polyline" in curves.drawing({"one": [(3.0, 3.0)]}, x="x", y="y")  # a single point
