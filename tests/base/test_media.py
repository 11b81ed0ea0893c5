from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from base.kit import calls_in
from perstack.base import Caps
from perstack.schema.message import FileInlinePart, ImageInlinePart

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n....",
    "image/jpeg": b"\xff\xd8\xff\xe0....",
    "image/gif": b"GIF89a....",
    "image/webp": b"RIFF\x04\0\0\0WEBP",
}


@pytest.mark.parametrize("mime_type", IMAGES)
async def test_an_image_is_known_by_its_first_bytes(tmp_path: Path, mime_type: str):
    (tmp_path / "picture.txt").write_bytes(IMAGES[mime_type])
    async with calls_in(tmp_path) as call:
        said = await call("readImageFile", path="picture.txt")
    encoded = base64.b64encode(IMAGES[mime_type]).decode()
    assert said.output.contents == (ImageInlinePart(encoded_data=encoded, mime_type=mime_type),)
    assert not said.is_error


async def test_a_pdf_is_known_by_its_first_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"%PDF-1.7 ...")
    async with calls_in(tmp_path) as call:
        said = await call("readPdfFile", path="a")
    encoded = base64.b64encode(b"%PDF-1.7 ...").decode()
    part = FileInlinePart(encoded_data=encoded, mime_type="application/pdf")
    assert said.output.contents == (part,)


@pytest.mark.parametrize("tool", ["readImageFile", "readPdfFile"])
async def test_another_kind_of_file_is_refused_whatever_its_name(tmp_path: Path, tool: str):
    (tmp_path / "a.png").write_text("<svg/>")
    async with calls_in(tmp_path) as call:
        assert "is not a" in (await call(tool, path="a.png")).message


@pytest.mark.parametrize("tool", ["readImageFile", "readPdfFile"])
async def test_a_file_past_the_cap_is_refused(tmp_path: Path, tool: str):
    (tmp_path / "a").write_bytes(b"%PDF-" + b"." * 6)
    async with calls_in(tmp_path, caps=Caps(image=10, pdf=10)) as call:
        assert (await call(tool, path="a")).message == "File a has 11 B; at most 10 B can be used."


def test_the_caps_are_those_of_the_published_tools():
    assert (Caps().image, Caps().pdf) == (15 * 1024 * 1024, 30 * 1024 * 1024)
