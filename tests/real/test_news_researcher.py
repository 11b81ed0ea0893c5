"""The example whose tools come from npm, with the package that it names."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from cli.process import PERSTACK
from real.runs import environment, left_of, run
from real.servers import ROOT, Servers, npm

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

KEY = "a-key-that-nobody-issued"


def news_researcher() -> str:
    """The example, with its package at the version that is installed."""
    text = (ROOT / "examples/news-researcher/perstack.toml").read_text()
    assert text.count('"exa-mcp-server"') == 1
    return text.replace('"exa-mcp-server"', json.dumps(npm("exa-mcp-server")))


async def test_the_news_researcher_says_which_key_it_lacks(servers: Servers, tmp_path: Path):
    ran = await run(tmp_path, servers, news_researcher(), expert="news-researcher")
    assert ran.ended.code == 2
    assert "skill web-search needs EXA_API_KEY" in ran.ended.stderr
    assert not ran.model.requests


async def test_the_news_researcher_has_the_tools_of_its_package(servers: Servers, tmp_path: Path):
    env = {"EXA_API_KEY": KEY}
    ran = await run(tmp_path, servers, news_researcher(), expert="news-researcher", env=env)
    assert ran.ended.code == 0, ran.ended.stderr
    assert "web_search_exa" in ran.tools
    assert ran.tools["web_search_exa"]["input_schema"]["required"] == ["query"]
    assert "warning" not in ran.ended.stderr
    assert KEY not in ran.ended.stdout


@pytest.mark.parametrize(
    ("env", "code"), [({}, 1), ({"EXA_API_KEY": KEY}, 0)], ids=["no key", "a key"]
)
async def test_its_skills_are_shown_with_a_key_of_nobody_and_what_is_missing_without(
    servers: Servers, tmp_path: Path, env: dict[str, str], code: int
):
    (tmp_path / "perstack.toml").write_text(news_researcher())
    ended = await anyio.run_process(
        [str(PERSTACK), "skills", "--json"],
        cwd=tmp_path,
        env=environment(servers, tmp_path) | env,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    [expert] = json.loads(ended.stdout)["experts"]
    base, web = expert["skills"]
    assert [tool["name"] for tool in base["tools"]][-1] == "createDirectory"
    assert web["missingEnv"] == ([] if env else ["EXA_API_KEY"])
    assert ("web_search_exa" in {tool["name"] for tool in web["tools"]}) == bool(env)
    assert KEY.encode() not in ended.stdout + ended.stderr
    assert not left_of(tmp_path)
