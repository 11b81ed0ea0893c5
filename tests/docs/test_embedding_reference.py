"""The reference of the embedding API is what the code says."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import perstack
from perstack.embedding.options import JobOptions, RuntimeOptions

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/embedding.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`scripts/reference` as a module."""
    loader = SourceFileLoader("reference_script", str(ROOT / "scripts/reference"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_is_made_from_the_code(script: ModuleType, page: str) -> None:
    assert script.page() == page, "run: uv run scripts/reference"


def test_every_public_name_has_a_heading(page: str) -> None:
    headings = {words.strip("`") for words in re.findall(r"^### (.+)$", page, re.MULTILINE)}

    assert headings >= set(perstack.__all__)


def test_every_option_is_in_a_table_with_its_meaning(page: str) -> None:
    for option in (*RuntimeOptions.__annotations__, *JobOptions.__annotations__):
        assert re.search(rf"^\| `{option}` \| `.+` \| .+ \|$", page, re.MULTILINE), option


def test_a_name_that_no_part_holds_stops_the_script(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perstack, "__all__", [*perstack.__all__, "something_new"])

    with pytest.raises(SystemExit, match="PARTS lacks something_new"):
        script.page()


def test_a_field_without_words_stops_the_script(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"Result\.text has no words"):
        list(
            script.field_rows(
                perstack.Result, "Result", script.Doc("", {"job_id": "a", "status": "b"}, {})
            )
        )


def test_every_event_leads_to_its_own_section(page: str) -> None:
    events = (ROOT / "docs/reference/events.md").read_text(encoding="utf-8")
    sections = {words.lower() for words in re.findall(r"^### `(\w+)`$", events, re.MULTILINE)}
    linked = re.findall(r"\]\(events\.md#(\w+)\)", page)

    assert len(linked) == len(set(linked)) > 25
    assert set(linked) <= sections
