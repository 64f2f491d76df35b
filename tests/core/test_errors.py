import inspect
import re

import pytest

from nestvec.core import Space, errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.NestvecError)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_in_the_tree_of_the_module_docstring(error):
    assert re.search(rf"\b{error.__name__}\b", errors.__doc__)


@pytest.mark.parametrize("error", [c for c in CLASSES if c is not errors.NestvecError])
def test_every_error_is_also_a_builtin(error):
    assert any(
        base.__module__ == "builtins" for base in error.__mro__ if base not in (Exception, BaseException, object)
    )


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ShapeError, ValueError),
        (errors.NotFoundError, KeyError),
        (errors.MissingExtraError, ImportError),
        (errors.CorruptError, OSError),
        (errors.LockedError, OSError),
    ],
)
def test_errors_are_caught_as_what_they_are(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, errors.NestvecError)


def test_a_missing_row_reads_as_a_sentence():
    assert str(errors.NotFoundError("no row has the id 'a'.")) == "no row has the id 'a'."
    assert str(errors.NotFoundError()) == ""


def test_a_missing_extra_says_what_to_run():
    error = errors.MissingExtraError("Encoding text", "text")
    assert "pip install 'nestvec[text]'" in str(error)
    assert error.extra == "text"


def test_a_mismatch_names_both_spaces_and_every_difference():
    a = Space("mini", "w1", "mean", 384)
    b = Space("maxi", "w2", "cls", 384)
    error = errors.SpaceMismatchError(a, b)
    for word in ("mini", "maxi", "weights", "'w1'", "'w2'", "pooling", "'mean'", "'cls'"):
        assert word in str(error)
    assert "dim " not in str(error).split("differ in")[1].split(". Open")[0]
    assert (error.expected, error.got) == (a, b)
