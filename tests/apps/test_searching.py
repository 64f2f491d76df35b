"""``nestvec search`` and ``nestvec show``: nestvec.apps.cli.searching, nestvec.apps.cli.explaining."""

import json

import pytest


@pytest.fixture
def indexed(nestvec, model, notes):
    nestvec("index", notes, "--to", "c", "-m", model, "-q")
    return "c"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_hits_for_people_and_for_programs(nestvec, indexed):
    text = nestvec("search", indexed, "The", "bread", "rises", "in the oven").stdout
    assert text.splitlines()[0].startswith(" 1  notes/bread.txt")
    assert "The bread rises in the oven." in text
    assert "\x1b" not in text
    (found,) = lines(nestvec("search", indexed, "The bread rises in the oven", "--json", "-k", "2").stdout)
    assert found["query"] == "The bread rises in the oven"
    assert found["results"][0]["id"] == "notes/bread.txt"
    assert len(found["results"]) == 2


def test_queries_on_standard_input_are_answered_one_a_line(nestvec, indexed):
    done = nestvec("search", indexed, "-", "--json", "--mode", "lexical", input="bread\n\nship sails\n")
    first, second = lines(done.stdout)
    assert first["results"][0]["id"] == "notes/bread.txt"
    assert second["query"] == "ship sails"
    assert "ship sails\n" in nestvec("search", indexed, "-", input="bread\nship sails\n").stdout


def test_words_are_searched_without_a_model(nestvec, made):
    text = nestvec("search", made, "moon", "--mode", "lexical").stdout
    assert "moon" in text
    assert nestvec("search", made, "moon", "--mode", "lexical", "--full", "--all-passages").stdout.count("pulls") == 1


def test_a_model_is_needed_to_search_by_meaning(nestvec, made):
    assert "vectors" in nestvec("search", made, "moon", expect=3).stderr


def test_filters(nestvec, made):
    args = ("search", made, "moon bread ship", "--mode", "lexical", "--json", "--where")
    (found,) = lines(nestvec(*args, '{"n": {"$gte": 1}}').stdout)
    assert {hit["id"] for hit in found["results"]} == {"bread", "ship"}
    assert "single quotes" in nestvec(*args, "{n: 1}", expect=3).stderr
    assert "an object" in nestvec(*args, "[1]", expect=3).stderr
    assert "did you mean $gte" in nestvec(*args, '{"n": {"$gtee": 1}}', expect=3).stderr
    nothing = nestvec(*args, '{"n": 99}', expect=1)
    assert lines(nothing.stdout)[0]["results"] == []
    assert nothing.stderr == ""
    assert "meets the filter" in nestvec(*args[:-2], "--where", '{"n": 99}', expect=1).stderr


def test_what_others_wrote_cannot_command_the_terminal(nestvec, made):
    for text in (nestvec("show", made, "ship").stdout, nestvec("search", made, "ship", "--mode", "lexical").stdout):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "\x1b" in json.loads(nestvec("show", made, "ship", "--json").stdout)[0]["text"]


def test_bad_usage(nestvec, made):
    assert "Try: nestvec search --help" in nestvec("search", made, "x", "-k", "0", expect=2).stderr
    nestvec("search", made, expect=2)
    nestvec("search", made, "x", "--mode", "telepathy", expect=2)
    assert "Did you mean 'search'" in nestvec("serach", expect=2).stderr
    assert "got 99" in nestvec("search", made, "x", "--mode", "lexical", "--version", "99", expect=5).stderr


def test_show_gives_a_record_or_all_passages_of_a_document(nestvec, model, made):
    text = nestvec("show", made, "moon").stdout
    assert "Moon" in text
    assert '["x"]' in text
    from pathlib import Path

    Path("long.md").write_text("# Sea\n\n" + "The tide pulls the water of the sea. " * 40)
    nestvec("index", "long.md", "--to", "c", "-m", model, "-q", "--passage-tokens", "40")
    passages = json.loads(nestvec("show", "c", "long.md", "--json").stdout)
    assert len(passages) > 1
    assert {p["document"] for p in passages} == {"long.md"}
    (one,) = json.loads(nestvec("show", "c", passages[1]["id"], "--json").stdout)
    assert one == passages[1]
    assert "of long.md" in nestvec("show", "c", passages[1]["id"]).stdout
    (best,) = lines(nestvec("search", "c", "tide", "--json").stdout)
    (every,) = lines(nestvec("search", "c", "tide", "--json", "--all-passages").stdout)
    assert (len(best["results"]), len(every["results"])) == (1, min(10, len(passages)))


def test_an_unknown_id_is_a_negative_answer_with_the_nearest_name(nestvec, made):
    done = nestvec("show", made, "moom", "--json", expect=1)
    assert "Did you mean 'moon'" in done.stderr
    assert done.stdout == ""
    assert "3 records" in nestvec("show", made, "zzzzz", expect=1).stderr


def test_a_narrow_terminal(nestvec, made, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = nestvec("search", made, "moon bread ship", "--mode", "lexical").stdout
    assert all(len(line) <= 40 for line in text.splitlines())


def test_explain_shows_what_was_matched_and_what_it_adds(nestvec, model, notes):
    nestvec("index", notes, "--to", "c", "-m", model, "--vectors", "all", "-q")
    text = nestvec("search", "c", "bread", "oven", "--explain", "-k", 2).stdout
    rows = [line.split() for line in text.splitlines()]
    total = next(row[0] for row in rows if " ".join(row[1:]) == "sum over 2 tokens of the query")
    assert total == rows[0][2]  # the score of the first hit
    (found,) = lines(nestvec("search", "c", "bread", "oven", "--explain", "--json").stdout)
    first = found["results"][0]
    assert first["explanation"]["score"] == pytest.approx(first["score"], abs=1e-4)
    told = first["explanation"]["matches"]
    assert [match["query"]["text"] for match in told] == ["bread", "oven"]
    assert all([f"{m['score']:.3f}", m["query"]["word"], m["document"]["word"]] in rows for m in told)
    assert first["explanation"]["compared"] is True
    nestvec("resize", "c", "v2", "-q")
    assert "(with " in nestvec("search", "c", "bread", "--explain").stdout


def test_explain_of_single_vectors_and_of_words(nestvec, indexed, made):
    text = nestvec("search", indexed, "bread", "--explain").stdout
    assert "sum over 1 token, not the score" in text
    assert text.count("compares one vector a record") == 1
    assert (
        "--explain must go with" in nestvec("search", indexed, "x", "--explain", "--mode", "lexical", expect=2).stderr
    )


def test_an_explanation_is_as_wide_as_the_terminal_and_cannot_command_it(capsys, monkeypatch):
    from nestvec.apps.cli.console import Output
    from nestvec.apps.cli.explaining import tell_explanation, tell_notes
    from nestvec.core import Token
    from nestvec.search import Explanation, Match

    monkeypatch.setenv("COLUMNS", "60")
    long = [Token(f"word{i}", f"word{i}", i, i + 1, i) for i in range(9)]
    asked = [Token("red\x1b[31m", "red\x1b[31m", 0, 8, 0), Token("[MASK]", "[MASK]"), Token("[MASK]", "[MASK]")]
    matches = (
        Match(asked[0], long[0], tuple(long), 0, 0.5),
        Match(asked[1], None, (), 3, -0.25),
        Match(asked[2], None, (), 3, 1.0),
    )
    why = Explanation("r", matches, compared=True, note="Something is not known.")
    tell_explanation(Output(), why)
    tell_explanation(Output(as_json=True), why)
    tell_notes(Output(), [why, why, Explanation("s", (), compared=True, note="nothing")])
    tell_explanation(Output(), Explanation("s", (), compared=True, note="The record keeps no vectors."))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 60
    assert "word0 (with word1 word2" in shown
    assert "[MASK] x 2" in shown
    assert "vector 4" in shown
    assert "1.250" in shown
    assert shown.count("Something is not known.") == 1
    assert "keeps no vectors" in shown
