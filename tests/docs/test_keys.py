"""The guide to the workbench names the keys that there are."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from perstack.tui.keys import KEYS, TABLE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guides/workbench.md"


def test_the_guide_has_the_table_of_the_code() -> None:
    loader = SourceFileLoader("keys_script", str(ROOT / "scripts/keys"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    script = module_from_spec(spec)
    loader.exec_module(script)
    text = PAGE.read_text(encoding="utf-8")

    assert script.page(text) == text, "run: uv run scripts/keys"


def test_no_key_does_two_things() -> None:
    names = [name for key in TABLE for name in key.keys.split(",") if name]

    assert len(names) == len(set(names))
    assert len(KEYS) == len([key for key in TABLE if key.action])
