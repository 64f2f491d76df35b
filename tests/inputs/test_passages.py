"""Passages: exact spans, nothing lost, never over the budget, cut where the text has its joints."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Place, Record
from nestvec.core.errors import InputError
from nestvec.inputs import ReadReport, Reason, passages
from nestvec.inputs.packing import pack
from nestvec.inputs.structure import atoms, first_heading


def by_words(texts):
    return [len(text.split()) for text in texts]


def by_characters(texts):
    return [len(text) for text in texts]


def by_pieces(texts):
    """Like a subword tokenizer that also counts line ends, so that counts do not simply add up."""
    return [sum(-(-len(word) // 3) for word in re.findall(r"\w+|[^\w\s]|\n+", text)) for text in texts]


COUNTERS = [by_words, by_characters, by_pieces]

WORDS = st.text(st.sampled_from("abcXYZ.,!?-#= 漢字。é😀\t"), max_size=12)
LINES = st.one_of(
    st.lists(WORDS, max_size=30).map(" ".join),
    st.sampled_from(
        ["", "", "# One", "## Two", "### Three", "=====", "-----", "```", "- item", "Mr. A. Smith went. He left."]
    ),
)
TEXTS = st.lists(LINES, max_size=30).map("\n".join)


@given(TEXTS, st.integers(1, 60), st.integers(0, 40), st.sampled_from(COUNTERS), WORDS)
def test_passages_cover_the_document_exactly_within_the_budget(text, budget, overlap, count, title):
    record = Record("d", text, metadata={"k": 1}, title=title)
    report = ReadReport()
    out = list(passages([record], budget=budget, count=count, overlap=overlap, report=report))
    assert out == list(passages([record], budget=budget, count=count, overlap=overlap))
    covered = set()
    for number, piece in enumerate(out):
        place = piece.place
        assert piece.text == text[place.start : place.end]
        assert (place.parent, place.number) == ("d", number)
        assert piece.metadata["k"] == 1
        assert count([piece.full_text])[0] <= budget or Reason.OVER_BUDGET in report.repaired
        covered |= set(range(place.start, place.end))
    assert all(i in covered or text[i].isspace() for i in range(len(text)))
    starts, ends = [p.place.start for p in out], [p.place.end for p in out]
    assert starts == sorted(set(starts))
    assert ends == sorted(set(ends))
    assert [p.id for p in out] == (["d"] if len(out) == 1 else [f"d#{i}" for i in range(len(out))])
    assert (report.passages, report.split) == (len(out), len(out) > 1)
    if Reason.OVER_BUDGET in report.repaired:  # only where a single character costs more than there is
        assert budget < 4
    if count([record.full_text])[0] <= budget:
        assert [(p.text, p.title) for p in out] == [(text, title)]


@given(TEXTS)
def test_atoms_are_trimmed_ordered_and_complete(text):
    pieces = list(atoms(text))
    end = 0
    for atom in pieces:
        assert end <= atom.start < atom.end
        assert not text[end : atom.start].strip()
        assert text[atom.start : atom.end].strip() == text[atom.start : atom.end]
        end = atom.end
    assert not text[end:].strip()


def cut(text, budget, overlap=0, count=by_words):
    return [p.text for p in passages([Record("d", text)], budget=budget, count=count, overlap=overlap)]


def test_headings_are_found_with_their_path():
    text = "Intro.\n\n# A #\n\nx\n\n## B\n\ny\n\n```\n# no\n\n# no\n```\n\nC\n=\n\n"
    text += "D\n===\n\nz\n\nE\n---\n\nw\n\n#nospace\n"
    found = {text[a.start : a.end]: a.heading for a in atoms(text)}
    assert found["Intro."] == ()
    assert found["x"] == ("A",)
    assert found["y"] == ("A", "B")
    assert found["z"] == ("D",)
    assert found["w"] == ("D", "E")
    assert not any("no" in heading for heading in found.values())
    assert first_heading("=====\nTitle\n=====\n\nPart\n----\n") == "Title"
    assert first_heading("a | b\n--- | ---\n\nonly words. # here\n") == ""


def test_sentences_end_where_a_reader_would_end_them():
    text = 'Dr. Smith met J. Doe, e.g. Fig. 3 shows it. He said "No!" Then 3.14 was it… Ok. '
    text += "漢字。次。 End?\n- item\n- other"
    assert [text[a.start : a.end] for a in atoms(text)] == [
        "Dr. Smith met J. Doe, e.g. Fig. 3 shows it.", 'He said "No!"', "Then 3.14 was it…", "Ok.",
        "漢字。", "次。", "End?", "- item", "- other",
    ]  # fmt: skip


def test_cuts_prefer_headings_then_paragraphs_then_sentences():
    text = "# A\n\none two three. Four five six.\n\n# B\n\nseven eight. Nine ten.\n\neleven twelve."
    assert cut(text, 9) == ["# A\n\none two three. Four five six.", "# B\n\nseven eight. Nine ten.\n\neleven twelve."]
    assert cut("One two three.\n\nFour five. Six seven.", 5) == ["One two three.", "Four five. Six seven."]
    assert cut("One two. Three four. Five six.", 4) == ["One two. Three four.", "Five six."]
    assert cut("a b\nc d\ne f", 5) == ["a b\nc d", "e f"]
    assert cut("a b c d e", 2) == ["a b", "c d", "e"]
    assert cut("abcdefgh", 3, count=by_characters) == ["ab", "cd", "ef", "gh"]


def test_small_sections_are_packed_together_and_a_heading_stays_with_its_section():
    text = "".join(f"## S{i}\n\nWord.\n\n" for i in range(12))
    out = cut(text, 20)
    assert len(out) == 3
    assert all(piece.startswith("## S") and piece.endswith("Word.") for piece in out)
    assert cut("one two three four\n\n## H\n\nfive six.", 6) == ["one two three four", "## H\n\nfive six."]


def test_overlap_is_whole_sentences_and_stops_at_a_heading():
    text = "One two three. Four five. Six seven. Eight nine. Ten eleven. Twelve."
    assert cut(text, 8, overlap=2) == [
        "One two three. Four five. Six seven.",
        "Six seven. Eight nine. Ten eleven. Twelve.",
    ]
    assert cut(text, 8, overlap=0) == ["One two three. Four five. Six seven.", "Eight nine. Ten eleven. Twelve."]
    long = " ".join(f"w{i}" for i in range(30)) + ". Next one."
    assert cut(long, 30, overlap=3)[1] == "w27 w28 w29. Next one."  # no sentence is short enough, so its last words
    assert cut(long, 30, overlap=0)[1] == "Next one."
    headed = "# A\n\none two three four.\n\n# B\n\nfive six seven eight."
    assert cut(headed, 8, overlap=8) == ["# A\n\none two three four.", "# B\n\nfive six seven eight."]


def test_places_say_which_headings_stand_above():
    text = "# A\n\none two three four.\n\n## B\n\nfive six seven eight."
    out = list(passages([Record("d", text)], budget=8, count=by_words))
    assert [p.place.heading for p in out] == [("A",), ("A", "B")]


def test_a_document_that_fits_is_given_whole_without_counting():
    def never(texts):
        raise AssertionError("nothing to count")

    out = list(passages([Record("d", " short \n", title="T")], budget=20, count=never))
    assert out == [Record("d", " short \n", title="T", place=Place("d", 0, 8))]
    asked = []
    list(passages([Record("d", "한국어")], budget=20, count=lambda texts: asked.extend(texts) or [9] * len(texts)))
    assert asked == ["한국어"]  # a syllable may be three tokens, so its length proves nothing


def test_counting_is_done_for_many_documents_at_once():
    calls = []

    def count(texts):
        calls.append(len(texts))
        return by_words(texts)

    records = [Record(str(i), "word " * 30) for i in range(3000)]
    assert len(list(passages(records, budget=100, count=count))) == 3000
    assert calls == [1024, 1024, 952]


def test_documents_stream():
    taken = []

    def endless():
        i = 0
        while True:
            taken.append(i)
            yield Record(str(i), "word " * 5000)
            i += 1

    stream = passages(endless(), budget=100, count=by_words)
    assert next(stream).id == "0#0"
    assert len(taken) <= 1024


def test_a_long_title_is_shortened_and_counted():
    report = ReadReport()
    title = "a very long title of nine words in all"
    out = list(passages([Record("d", "one two three four.", title=title)], budget=6, count=by_words, report=report))
    assert {p.title for p in out} == {"a very long"}
    assert {p.metadata["full_title"] for p in out} == {title}
    assert report.repaired[Reason.TITLE].count == 1
    (fits,) = passages([Record("d", "one.", title=title)], budget=10, count=by_words)
    assert fits.title == title
    (lonely,) = passages([Record("d", "one", title=title)], budget=1, count=by_words)
    assert (lonely.title, lonely.text) == ("", "one")


def test_a_budget_that_one_character_exceeds_is_reported():
    report = ReadReport()
    out = list(passages([Record("d", "ab")], budget=1, count=lambda texts: [3 * len(t) for t in texts], report=report))
    assert [p.text for p in out] == ["a", "b"]
    assert report.repaired[Reason.OVER_BUDGET].count == 2


def test_counts_that_do_not_add_up_are_found_and_mended():
    def count(texts):  # two tokens more for every white space than the pieces alone would take
        return [len(t.split()) + 2 * sum(c.isspace() for c in t) for t in texts]

    text = "One two. Three four. Five six seven. " * 20
    out = list(passages([Record("d", text)], budget=20, count=count))
    assert max(count([p.text for p in out])) <= 20
    assert "".join(p.text for p in out).replace(" ", "") != ""


def test_a_passage_of_a_passage_keeps_the_first_document():
    record = Record("d#3", "One two. Three four.", place=Place("d", 100, 120, ("H",), 3))
    out = list(passages([record], budget=2, count=by_words))
    assert [(p.id, p.place) for p in out] == [
        ("d#3#0", Place("d", 100, 108, ("H",), 0)),
        ("d#3#1", Place("d", 109, 120, ("H",), 1)),
    ]
    assert list(passages([record], budget=9, count=by_words)) == [record]


def test_nothing_gives_nothing_and_empty_text_is_legal():
    assert list(passages([], budget=5, count=by_words)) == []
    assert [p.place for p in passages([Record("d", "")], budget=5, count=by_words)] == [Place("d", 0, 0)]
    assert pack("", room=5, overlap=1, count=by_words) == []


def test_a_budget_and_an_overlap_must_make_sense():
    with pytest.raises(InputError, match="at least 1 token, got 0"):
        passages([], budget=0, count=by_words)
    with pytest.raises(InputError, match="at least 0 tokens, got -1"):
        passages([], budget=5, overlap=-1, count=by_words)


@pytest.mark.parametrize(
    "text", ["." * 50_000, "a" * 50_000, "\n" * 50_000, " \n" * 25_000, '!"' * 25_000, "a. " * 15_000]
)
def test_time_is_linear_in_hostile_text(text):
    import time

    start = time.perf_counter()
    list(passages([Record("d", text)], budget=50, count=by_pieces))
    assert time.perf_counter() - start < 5  # quadratic time would be minutes
