"""``nestvec search --explain``: an explanation as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nestvec.apps.cli.console import Output, clean, faint, rich_console, several, strong

if TYPE_CHECKING:
    from nestvec.search.explaining import Explanation, Match, WordMatch

_QUERY = 24  # columns of a word of the query at most
_OTHERS = 6  # words of a cluster that are shown beside the one that fits best
_INDENT = 4


def tell_explanation(out: Output, explained: Explanation) -> None:
    """Print what each word of the query was matched with, and what that added; below it the sum.

    A note is printed where nothing was matched; others are for :func:`tell_notes`.
    """
    if out.as_json:
        return
    from rich.cells import cell_len, set_cell_size

    rows = [(_asked(word), _matched(word), f"{word.score:.3f}") for word in explained.words()]
    if rows:
        total, tokens = f"{explained.score:.3f}", several(len(explained.matches), "token")
        first = max(len(total), *(len(score) for _, _, score in rows))
        second = min(_QUERY, max(cell_len(asked) for asked, _, _ in rows))
        room = max(20, rich_console().width - _INDENT - first - second - 4)
        for asked, matched, score in rows:
            line = (
                " " * _INDENT,
                f"{score:>{first}}  ",
                strong(_cut(asked, second)),
                "  ",
                _cut(matched, room).rstrip(),
            )
            out.line(*line)
        sums = f"sum over {tokens} of the query" if explained.compared else f"sum over {tokens}, not the score"
        out.line(faint(f"{' ' * _INDENT}{total:>{first}}  {set_cell_size('', second)}  {sums}"))
    else:
        out.block(explained.note, indent=_INDENT, style="dim")
    out.line("")


def tell_notes(out: Output, explained: Sequence[Explanation]) -> None:
    """Print what has to be known to read explanations, each sentence once."""
    for note in dict.fromkeys(one.note for one in explained if one.matches and one.note):
        out.block(note, style="dim")


def _asked(word: WordMatch) -> str:
    """The word of the query; how often, where several tokens of one name follow one another."""
    count = len(word.matches)
    return word.text if word.matches[0].query.in_text or count == 1 else f"{word.text} x {count}"


def _matched(word: WordMatch) -> str:
    """The words that answer its pieces, each once; of a cluster the one that fits best, and what is with it."""
    return ", ".join(dict.fromkeys(_answer(match) for match in word.matches))


def _answer(match: Match) -> str:
    if match.token is None:
        return f"vector {match.vector + 1}"
    others = list(dict.fromkeys(token.word for token in match.cluster if token.word != match.token.word))
    if not others:
        return match.token.word
    more = f" and {len(others) - _OTHERS} more" if len(others) > _OTHERS else ""
    return f"{match.token.word} (with {' '.join(others[:_OTHERS])}{more})"


def _cut(text: str, width: int) -> str:
    """Text in so many columns of the terminal."""
    from rich.cells import cell_len, set_cell_size

    shown = " ".join(clean(text).split())
    return set_cell_size(shown, width) if cell_len(shown) <= width else f"{set_cell_size(shown, width - 1)}…"
