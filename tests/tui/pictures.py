"""Screens as pictures: SVG that is compared with the one beside the tests.

After a change that is meant to be seen: look at the new pictures, and accept them with
`pytest tests/tui/test_pictures.py --snapshot-update`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion
    from textual.app import App

FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
UNIQUE = re.compile(r"terminal-\d+")


class Svg(SingleFileSnapshotExtension):
    """One file for each picture."""

    _write_mode = WriteMode.TEXT
    file_extension = "svg"


def drawn(app: App[Any]) -> str:
    """The screen, as text that is the same for the same screen, and loads nothing from afar."""
    svg = app.export_screenshot(title="perstack", simplify=True)
    svg = UNIQUE.sub("screen", COMMENT.sub("", FONT.sub("", svg)))
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def compare(app: App[Any], snapshot: SnapshotAssertion, folder: Path) -> None:
    """Hold the screen against its picture.

    One that differs is left in `folder`, and said.
    """
    picture = drawn(app)
    if picture != snapshot.use_extension(Svg):
        new = folder / "new.svg"
        new.write_text(picture, encoding="utf-8")
        pytest.fail(
            f"the screen is not what its picture in {Path(__file__).parent / '__snapshots__'} "
            f"shows. The new picture is {new}. Look at both; to accept the new one, run this "
            "test with --snapshot-update.",
            pytrace=False,
        )
