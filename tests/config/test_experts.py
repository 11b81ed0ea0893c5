"""Which definition a key names."""

from __future__ import annotations

import pytest

from perstack.config.experts import definition_of, resolve_expert
from perstack.config.load import parse_config
from perstack.errors import UnknownExpert, UsageError
from perstack.schema.expert import DelegateInfo, Expert

PROJECT = parse_config(
    """
[experts."writer"]
version = "2.0.0"
description = "Writes."
instruction = "Write."
delegates = ["@acme/reader@1.0.0", "gone"]
tags = ["stable"]
[experts."@acme/reader"]
description = "Reads."
instruction = "Read."
""",
    "dir/perstack.toml",
)
CATALOGUE = {
    "writer": Expert(key="writer", name="writer", version="1.0.0", instruction="Old."),
    "game": Expert(key="game", name="game", instruction="Play."),
}


def found(key: str) -> Expert:
    return resolve_expert(key, PROJECT, CATALOGUE)


def test_the_project_comes_first() -> None:
    assert found("writer") is PROJECT.experts["writer"]


def test_the_catalogue_comes_second() -> None:
    assert found("game") is CATALOGUE["game"]
    assert resolve_expert("game", None, CATALOGUE) is CATALOGUE["game"]


def test_a_version_names_just_that_version_wherever_it_is() -> None:
    assert found("writer@2.0.0").instruction == "Write."
    assert found("writer@1.0.0").instruction == "Old."
    assert found("writer@2.0.0").key == "writer@2.0.0"
    assert found("writer@2.0.0").name == "writer"


def test_a_tag_names_who_bears_it_and_latest_names_anyone() -> None:
    assert found("writer@stable").version == "2.0.0"
    assert found("writer@latest").version == "2.0.0"
    with pytest.raises(UnknownExpert):
        found("writer@beta")


def test_an_unknown_name_is_answered_with_near_ones_and_where_was_looked() -> None:
    with pytest.raises(UnknownExpert) as caught:
        found("wrter")
    assert caught.value.message == (
        'There is no Expert "wrter". Did you mean writer? '
        "Looked in dir/perstack.toml and among the Experts that ship with Perstack"
    )


def test_an_unknown_version_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownExpert, match=r'"writer@3\.0\.0", only writer@2\.0\.0, writer@1\.0'):
        found("writer@3.0.0")


def test_without_a_file_the_message_says_so() -> None:
    with pytest.raises(UnknownExpert, match=r"there is no perstack\.toml here"):
        resolve_expert("nobody", None, {})


def test_a_key_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        found("../writer")


def test_a_definition_knows_its_delegates_and_keeps_one_that_cannot_be_found() -> None:
    definition = definition_of(PROJECT.experts["writer"], found)
    assert definition.expert is PROJECT.experts["writer"]
    assert definition.delegates == (
        DelegateInfo(key="@acme/reader@1.0.0", tool_name="reader", description="Reads."),
        DelegateInfo(key="gone", tool_name="gone"),
    )
