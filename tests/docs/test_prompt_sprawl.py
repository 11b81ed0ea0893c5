"""What the guide to prompt sprawl says of sizes is what a scripted model is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from docs.test_guides import SCENARIOS, blocks
from docs.test_walked_guides import CASE, page_of
from perstack import load_config, run
from perstack.testing import load_scenario, serve_model

GUIDE = "taming-prompt-sprawl"
PAGES = {"one page": 1_000, "forty pages": 40_000}
SENT = ("system", "tools", "messages")


class Sizes(NamedTuple):
    """What was sent, in characters: in all requests together, and in the last one."""

    requests: int
    together: int
    last: int


def definitions() -> dict[str, str]:
    """The `perstack.toml` of each row of the guide's table."""
    before, after = (block.text for block in blocks(page_of(GUIDE)) if block.language == "toml")
    table = r'^\[experts\."shop-support"\.skills.*?^pick = .*?\n'
    [tools] = re.findall(table, after, re.DOTALL | re.MULTILINE)
    return {"before": before, "before, with `pick`": f"{before}\n{tools}", "after": after}


def told() -> dict[str, list[int]]:
    """The numbers in the rows of the guide's table."""
    rows = re.findall(r"^\| ([^|]+) \| (\d.*) \|$", page_of(GUIDE).read_text("utf-8"), re.MULTILINE)
    return {name: [int(cell.replace(",", "")) for cell in row.split(" | ")] for name, row in rows}


def measured(definition: str, manual: int, folder: Path) -> Sizes:
    """Answer the guide's message with a manual of so many characters."""
    (folder / "perstack.toml").write_text(definition, encoding="utf-8")
    files = CASE | {"manual.md": "The seal wears out.\n" * (manual // 20)}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")

    async def answer() -> Sizes:
        async with serve_model(load_scenario(SCENARIOS / f"{GUIDE}.json")) as server:
            result = await run(
                "shop-support",
                files["message.txt"],
                config=load_config(folder / "perstack.toml"),
                workspace=folder,
                env=server.variables,
            )
            assert result.status == "completed"
            bodies = [json.loads(request.body) for request in server.requests]
        sizes = [sum(len(json.dumps(body[part])) for part in SENT) for body in bodies]
        return Sizes(len(sizes), sum(sizes), sizes[-1])

    return anyio.run(answer)


def test_the_guide_tells_the_sizes_of_what_is_sent(tmp_path: Path) -> None:
    table = told()

    assert list(table) == list(definitions())
    for name, definition in definitions().items():
        short, long = (measured(definition, manual, tmp_path) for manual in PAGES.values())
        sizes = [long.requests, short.together, long.together, long.last]
        assert short.requests == long.requests == table[name][0]
        assert sizes == pytest.approx(table[name], rel=0.1), name


def test_what_the_guide_concludes_from_its_sizes_holds() -> None:
    (_, narrow_short, narrow_long, narrow_last), (_, short, long, last) = (
        told()[name] for name in ("before, with `pick`", "after")
    )
    _, before_short, _, _ = told()["before"]

    assert narrow_short < short < before_short, "narrowing saved more, splitting took some back"
    assert long < narrow_long, "with a long manual a split pays"
    assert last < narrow_last / 5
