"""Python source: one document a docstring. Nothing is imported or run."""

from __future__ import annotations

import ast
import io
import threading
import tokenize
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from nestvec.core import Record
from nestvec.core.types import JSON
from nestvec.inputs.decoding import UnreadableError, decode
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.report import Reason
from nestvec.inputs.rows import clean_text

_warning_filters = threading.Lock()


class Documented(NamedTuple):
    """Something with a docstring.

    Args:
        name: qualified name inside the module; empty for the module itself.
        kind: ``module``, ``class``, ``function`` or ``method``.
        line: where its definition begins.
        text: its signature and its docstring.
    """

    name: str
    kind: str
    line: int
    text: str


def read_python(incoming: Incoming) -> Iterator[Record]:
    """One record for the module and each public class, function and method that has a docstring.

    Ids are ``path/file.py`` for the module and ``path/file.py::Class.method`` for what is in it; the title is the
    name with the file's own in front.

    Raises:
        UnreadableError: see :func:`parsed`; or there are no docstrings.
    """
    stem = incoming.path.name.removesuffix(".gz").removesuffix(".py")
    some = False
    for item in documented(parsed(incoming)):
        some = True
        metadata: dict[str, JSON] = {"source": incoming.source, "module": stem, "kind": item.kind, "line": item.line}
        yield Record(
            f"{incoming.name}::{item.name}" if item.name else incoming.name,
            item.text,
            metadata=metadata,
            title=f"{stem}.{item.name}" if item.name else stem,
        )
    if not some:
        raise UnreadableError(Reason.NO_DOCSTRINGS, "no public name in it has a docstring")


def parsed(incoming: Incoming) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        UnreadableError: see :meth:`Incoming.data`; or it is not Python of this interpreter's version.
    """
    data = incoming.data()
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as cause:
        raise UnreadableError(Reason.ENCODING, str(cause)) from cause
    encoding = incoming.limits.encoding if encoding == "utf-8" else encoding
    source = decode(data, encoding=encoding, errors=incoming.limits.errors)
    if not source.strip():
        raise UnreadableError(Reason.EMPTY, "nothing but white space")
    try:
        # old code is full of "\d" in plain strings, which is for its authors to hear about and not for its readers
        with _warning_filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError) as cause:
        raise UnreadableError(Reason.DAMAGED, f"not valid Python: {cause}") from cause
    except (RecursionError, MemoryError) as cause:  # the parser's stack, not the machine's memory
        raise UnreadableError(Reason.TOO_DEEP, "deeper than the Python parser goes") from cause


def documented(module: ast.Module) -> Iterator[Documented]:
    """What has a docstring, in the order of the file, each name once.

    A name that begins with an underscore is private: neither it nor anything in it is given. Functions inside
    functions are not given either.
    """
    if text := _docstring(module):
        yield Documented("", "module", 1, text)
    seen: set[str] = set()
    for node, prefix in _definitions(module.body, ""):
        name = prefix + node.name
        text = _docstring(node)
        if not text or name in seen:  # an overload or the setter of a property: the first docstring stands
            continue
        seen.add(name)
        kind = "class" if isinstance(node, ast.ClassDef) else "method" if prefix else "function"
        yield Documented(name, kind, node.lineno, f"{_signature(node)}\n\n{text}")


_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _docstring(node: ast.Module | _Definition) -> str:
    return clean_text(ast.get_docstring(node) or "").strip()


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[_Definition, str]]:
    for node in body:
        if isinstance(node, ast.If | ast.With):
            yield from _definitions(node.body, prefix)
            yield from _definitions(getattr(node, "orelse", []), prefix)
        elif isinstance(node, ast.Try):
            for part in (node.body, *(handler.body for handler in node.handlers), node.orelse, node.finalbody):
                yield from _definitions(part, prefix)
        elif isinstance(node, _Definition) and not node.name.startswith("_"):
            yield node, prefix
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{prefix}{node.name}.")


def _signature(node: _Definition) -> str:
    """The line that a reader of the manual would see. For a class, with the arguments that make one."""
    try:
        if isinstance(node, ast.ClassDef):
            made_by = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
            bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
            return f"class {node.name}{bases}" + (f": __init__({ast.unparse(made_by.args)})" if made_by else "")
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        return clean_text(f"{word} {node.name}({ast.unparse(node.args)}){returns}")
    except RecursionError:  # a default value of a thousand nested operators
        return f"{node.name}(...)"
