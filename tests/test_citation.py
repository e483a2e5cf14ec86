"""Test that CITATION.cff names the present version and the paper as README.md does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tfamt.version import __version__


def test_citation_agrees_with_version_and_readme(root: Path) -> None:
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    assert (cited["cff-version"], cited["version"]) == ("1.2.0", __version__)
    assert cited["license"] == "Apache-2.0"
    paper = cited["preferred-citation"]
    readme = (root / "README.md").read_text("utf-8")
    assert f"title = {{{paper['title']}}}" in readme
    names = " and ".join(
        f"{each['family-names']}, {each['given-names']}" for each in paper["authors"]
    )
    assert f"author = {{{names}}}" in readme
    found = re.search(r"year = \{(\d+)\}", readme)
    assert found is not None and int(found[1]) == paper["year"]
