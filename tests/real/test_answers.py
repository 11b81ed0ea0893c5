"""What tools of servers that people use answer, and say on the way, in a run."""

from __future__ import annotations

import base64
import gzip
import json
import wave
from pathlib import Path
from typing import Any

import pytest

from real.runs import at_once, call, config, run
from real.servers import Servers, everything, files

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]


def types(parts: list[dict[str, Any]]) -> list[str]:
    return [part["type"] for part in parts]


async def test_an_image_a_structure_and_links_of_a_server_reach_the_model(
    servers: Servers, tmp_path: Path
):
    asked = [
        call("get-tiny-image"),
        call("get-structured-content", location="Chicago"),
        call("get-resource-links", count=2),
    ]
    ran = await run(tmp_path, servers, config(everything()), *asked)
    image, weather, links = ran.answers
    assert types(image.parts) == ["textPart", "imageInlinePart", "textPart"]
    assert image.parts[1]["mimeType"] == "image/png"
    assert json.loads(weather.text).keys() == {"temperature", "conditions", "humidity"}
    assert links.text.count("[link to a resource, which was not read]") == 2
    assert image.parts[1]["encodedData"] in json.dumps(ran.model.requests[1].json["messages"])


async def test_resources_that_a_server_embeds_are_text_or_a_file(servers: Servers, tmp_path: Path):
    text = call("get-resource-reference", resourceType="Text", resourceId=7)
    data = {"name": "a.gz", "data": "data:text/plain,hello", "outputType": "resource"}
    ran = await run(
        tmp_path, servers, config(everything()), text, call("gzip-file-as-resource", **data)
    )
    read, packed = ran.answers
    assert "[resource demo://resource/dynamic/text/7]" in read.text
    assert "Resource 7: This is a plaintext resource" in read.text
    assert types(packed.parts) == ["textPart", "fileInlinePart"]
    assert packed.parts[1]["mimeType"] == "application/gzip"
    assert gzip.decompress(base64.b64decode(packed.parts[1]["encodedData"])) == b"hello"


async def test_a_recording_is_kept_whole(servers: Servers, tmp_path: Path):
    sound = tmp_path / "beep.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(b"\0\1" * 400)
    ran = await run(
        tmp_path, servers, config(files(tmp_path)), call("read_media_file", path=str(sound))
    )
    assert ran.ended.code == 0, ran.ended.stderr
    [heard] = [part for part in ran.answers[0].parts if part["type"] == "fileInlinePart"]
    assert heard["mimeType"] == "audio/wav"
    assert base64.b64decode(heard["encodedData"]) == sound.read_bytes()


async def test_how_far_a_long_call_has_come_is_told(servers: Servers, tmp_path: Path):
    long = call("trigger-long-running-operation", duration=0.3, steps=3)
    ran = await run(tmp_path, servers, config(everything()), long)
    assert "completed" in ran.answers[0].text
    told = [event for event in ran.events("skillReport") if event["level"] == "progress"]
    assert told[0]["message"] == "1/3"
    assert {event["source"] for event in told} == {"server"}


async def test_what_a_server_logs_is_told(servers: Servers, tmp_path: Path):
    asked = [call("toggle-simulated-logging"), call("echo", message="hello")]
    ran = await run(tmp_path, servers, config(everything()), *asked)
    [logged] = [event for event in ran.events("skillReport") if "level" in event["message"].lower()]
    assert logged["source"] == "server"
    assert logged["message"].lower().startswith(logged["level"])


async def test_arguments_that_a_server_refuses_are_an_error_for_the_model(
    servers: Servers, tmp_path: Path
):
    wrong, right = call("get-sum", a=2, b="two"), call("get-sum", a=2, b=2)
    ran = await run(tmp_path, servers, config(everything()), wrong, right)
    assert [answer.is_error for answer in ran.answers] == [True, False]
    assert "expected number, received string" in ran.answers[0].text
    messages: Any = ran.model.requests[1].json["messages"]
    [said] = messages[-1]["content"]
    assert said["is_error"] is True


async def test_calls_of_one_reply_run_at_once_and_each_gets_its_own_answer(
    servers: Servers, tmp_path: Path
):
    long = call("trigger-long-running-operation", duration=1, steps=2)
    sums = [call("get-sum", a=number, b=1000) for number in range(8)]
    ran = await run(tmp_path, servers, config(everything()), at_once(long, *sums))
    done = [
        event["toolResult"] for event in ran.ended.events if event["type"] == "completeToolCall"
    ]
    assert [result["toolName"] for result in done] == ["get-sum"] * 8 + [
        "trigger-long-running-operation"
    ]
    [results] = [event for event in ran.ended.events if event["type"] == "resolveToolResults"]
    texts = ["".join(part["text"] for part in one["result"]) for one in results["toolResults"]]
    assert texts[1:] == [f"The sum of {number} and 1000 is {number + 1000}." for number in range(8)]
