"""Write the fields of the config into the reference when the site is built; MkDocs calls this module."""

from __future__ import annotations

from typing import Any

from tfamt.config import SECTIONS, Config
from tfamt.config_fields import settings_of

MARKER = "<!-- config fields -->"
HEADER = "| field | what | unit | allowed | default |\n| --- | --- | --- | --- | --- |"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker in a page by a table for each section of the config."""
    return markdown.replace(MARKER, "\n".join(map(_table, SECTIONS)))


def _table(section: str) -> str:
    values = getattr(Config(), section)
    rows = [f"### {section}", "", HEADER]
    for name, described in settings_of(type(values)).items():
        default = getattr(values, name)
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        cells = (f"`{name}`", described.help, described.unit, described.bounds, shown or "none")
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])
