"""Read the flagfiles that come with tfamt, named "tfamt:NAME", wherever a command is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tfamt.errors import InputError

PACKAGE = "tfamt:"
_FLAG = "flagfile"
# In a wheel the folder lies inside the package, in a checkout beside it.
_ROOT = Path(__file__).resolve().parents[1]
_FOLDERS = (_ROOT / "configs", _ROOT.parent / "configs")


def expand_flagfiles(argv: Sequence[str]) -> list[str]:
    """Return arguments with the flags of each --flagfile=tfamt:NAME in its place; other flagfiles stay.

    Raises:
      InputError: there is no such flagfile.
    """
    expanded, rest = list(argv[:1]), list(argv[1:])
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*expanded, argument, *rest]
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == _FLAG:
            if not equals and rest and rest[0].startswith(PACKAGE):
                value = rest.pop(0)
            if value.startswith(PACKAGE):
                expanded += _flags_in(_find(value))
                continue
        expanded.append(argument)
    return expanded


def _find(name: str) -> Path:
    """Return the file of "tfamt:NAME"."""
    folder = next((each for each in _FOLDERS if each.is_dir()), _FOLDERS[0])
    known = {path.stem: path for path in sorted(folder.glob("*.flags"))}
    found = known.get(name.removeprefix(PACKAGE).removesuffix(".flags"))
    if found is None:
        names = ", ".join(PACKAGE + stem for stem in known)
        raise InputError(f"there is no flagfile {name!r} in tfamt", fix=f"Flagfiles: {names}.")
    return found


def _flags_in(path: Path) -> Iterator[str]:
    """Yield the flags of a file, and those of the files beside it that it includes."""
    for line in map(str.strip, path.read_text("utf-8").splitlines()):
        if line.startswith(f"--{_FLAG}="):
            yield from _flags_in(path.parent / Path(line.partition("=")[2]).name)
        elif line and not line.startswith(("#", "//")):
            yield line
