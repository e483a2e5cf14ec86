"""Match file names whose accents are encoded in different ways.

"é" is one code point in the form NFC, which most systems write, and two in NFD, which comes from macOS.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Literal


def composed(name: str | os.PathLike[str]) -> str:
    """Return a name in the form NFC, the same in every locale, to compare it with others."""
    return unicodedata.normalize("NFC", _text(name))


def existing_form(path: str | os.PathLike[str]) -> Path:
    """Return the path with each of its parts in the form that exists, NFC or NFD; as given where none does."""
    path = Path(path)
    if os.fspath(path).isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        forms = (part, _in_form("NFC", part), _in_form("NFD", part))
        found /= next((form for form in forms if os.path.lexists(found / form)), part)
    return found


def _in_form(form: Literal["NFC", "NFD"], name: str) -> str:
    normalized = unicodedata.normalize(form, _text(name))
    return os.fsdecode(normalized.encode("utf-8", "surrogateescape"))


def _text(name: str | os.PathLike[str]) -> str:
    """Return the text of a name in UTF-8, also where the locale has made something else of its bytes."""
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # No name in this locale.
        return os.fspath(name)
