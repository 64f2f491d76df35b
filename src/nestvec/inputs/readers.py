"""Which reader reads what."""

from __future__ import annotations

from nestvec.core import Catalog

READERS = Catalog(
    "nestvec.inputs",
    (
        ("txt@1", "txt:read_txt"),
        ("markdown@1", "markdown:read_markdown"),
        ("rst@1", "rst:read_rst"),
        ("html@1", "html:read_html"),
        ("pdf@1", "pdf:read_pdf"),
        ("jsonl@1", "jsonl:read_jsonl"),
        ("delimited@1", "delimited:read_delimited"),
        ("parquet@1", "parquet:read_parquet"),
        ("python@1", "python_source:read_python"),
        ("python-package@1", "python_package:read_package"),
    ),
)
"""Functions from :class:`~nestvec.inputs.incoming.Incoming` to an iterator of records."""

SUFFIXES = {
    ".txt": "txt@1",
    ".text": "txt@1",
    ".md": "markdown@1",
    ".markdown": "markdown@1",
    ".rst": "rst@1",
    ".html": "html@1",
    ".htm": "html@1",
    ".xhtml": "html@1",
    ".pdf": "pdf@1",
    ".jsonl": "jsonl@1",
    ".ndjson": "jsonl@1",
    ".csv": "delimited@1",
    ".tsv": "delimited@1",
    ".parquet": "parquet@1",
    ".py": "python@1",
}
"""The reader for each suffix; ``.gz`` may follow any of them."""
