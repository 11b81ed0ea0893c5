"""What a server's answer becomes for the model."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from perstack.schema.message import FileInlinePart, ImageInlinePart, Json, TextPart
from perstack.skills.mcp.protocol import CallResult
from perstack.skills.mcp.results import MAX_ALL_MEDIA, MAX_BLOCKS, MAX_MEDIA, MAX_TEXT, parts_of

PNG = b"\x89PNG\r\n\x1a\n"


def blob(data: bytes) -> str:
    return base64.b64encode(data).decode()


def contents(*blocks: dict[str, Any], structured: object = None) -> tuple[Any, ...]:
    return parts_of(CallResult(blocks, structured, is_error=False)).contents


def text(*blocks: dict[str, Any], structured: object = None) -> str:
    parts = contents(*blocks, structured=structured)
    assert all(isinstance(part, TextPart) for part in parts)
    return "\n".join(part.text for part in parts)


def image(data: bytes, mime_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "data": blob(data), "mimeType": mime_type}


def test_texts_stay_in_order_and_an_error_stays_one():
    blocks: tuple[Json, ...] = ({"type": "text", "text": "one"}, {"type": "text", "text": "two"})
    assert text(*blocks) == "one\ntwo"
    assert parts_of(CallResult(blocks, None, is_error=True)).is_error


def test_an_image_and_a_recording_are_parts():
    [picture, sound] = contents(
        image(PNG), {"type": "audio", "data": blob(b"RIFF"), "mimeType": "audio/wav"}
    )
    assert picture == ImageInlinePart(encoded_data=blob(PNG), mime_type="image/png")
    assert sound == FileInlinePart(encoded_data=blob(b"RIFF"), mime_type="audio/wav")


def test_an_image_goes_by_its_bytes_and_the_mistake_is_told():
    [note, picture] = contents(image(b"\xff\xd8\xff\xe0", "image/png"))
    assert "was said to be image/png and is image/jpeg" in note.text
    assert picture.mime_type == "image/jpeg"


def test_media_that_are_not_sound_are_told_in_words():
    assert "is not a PNG" in text(image(b"MZ\x90"))
    assert "not valid base64" in text({"type": "image", "data": "?!", "mimeType": "image/png"})
    assert "it is empty" in text({"type": "image", "mimeType": "image/png"})
    assert "does not say" in text({"type": "audio", "data": blob(b"x"), "mimeType": 7})


def test_an_image_that_is_too_large_is_told_with_its_type_and_size():
    said = text(image(PNG + bytes(MAX_MEDIA)))
    assert "image/png" in said
    assert "at most 5 MiB" in said


def test_all_media_of_an_answer_are_bounded_together():
    large = image(PNG + bytes(MAX_MEDIA - 100))
    parts = contents(*[large] * (MAX_ALL_MEDIA // MAX_MEDIA + 1))
    assert [type(part) for part in parts] == [ImageInlinePart, ImageInlinePart, TextPart]


def test_an_embedded_resource_is_its_text_or_its_file():
    about = {"uri": "file:///notes.md", "mimeType": "text/markdown", "text": "# Notes"}
    assert text({"type": "resource", "resource": about}) == "[resource file:///notes.md]\n# Notes"
    pdf = {"uri": "x:/1", "mimeType": "application/pdf", "blob": blob(b"%PDF-1.7")}
    [name, part] = contents({"type": "resource", "resource": pdf})
    assert name.text == "[resource x:/1]"
    assert part == FileInlinePart(encoded_data=blob(b"%PDF-1.7"), mime_type="application/pdf")


def test_a_link_is_words_and_is_never_read():
    said = text({"type": "resource_link", "uri": "file:///etc/passwd", "name": "n", "x": [1]})
    assert "file:///etc/passwd" in said
    assert "was not read" in said
    assert "root:" not in said


def test_structured_data_stand_in_for_a_text_that_is_not_there():
    data = {"a": [1, None, {"b": "ü"}]}
    assert msgspec.json.decode(text(structured=data)) == data
    assert msgspec.json.decode(text({"type": "text", "text": " "}, structured=data)) == data
    assert text({"type": "text", "text": "said"}, structured=data) == "said"


def test_a_long_text_loses_its_middle_and_says_how_much():
    said = text({"type": "text", "text": "a" * MAX_TEXT + "é" * MAX_TEXT})
    assert said.startswith("aaa")
    assert said.endswith("é")
    assert f"[{2 * MAX_TEXT} bytes were left out here]" in said
    assert len(said.encode()) < MAX_TEXT + 100


def test_many_texts_are_bounded_together():
    said = text(*[{"type": "text", "text": "x" * 10_000}] * MAX_BLOCKS)
    assert len(said) < MAX_TEXT + MAX_BLOCKS * 60


def test_more_parts_than_anyone_reads_are_counted():
    said = text(*[{"type": "text", "text": "x"}] * (MAX_BLOCKS + 7))
    assert "[7 more parts of the answer were left out]" in said


def test_what_nobody_knows_is_named_and_nothing_at_all_is_told():
    assert "'hologram'" in text({"type": "hologram", "data": 1})
    assert "'None'" in text({})
    assert "no content" in text({"type": "resource"})
    assert text() == "The tool answered with nothing."
