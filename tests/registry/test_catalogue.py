from __future__ import annotations

import json
import re
from importlib import resources

import msgspec
import pytest
from jsonschema import Draft202012Validator

from perstack.config.load import parse_config
from perstack.registry import catalogue
from perstack.registry.catalogue import catalogue_experts
from perstack.schema.digest import digest
from perstack.schema.expert import Expert
from perstack.schema.skill import InteractiveSkill

NAMES = ["create-expert", "fitness-assistant", "pro-trainer", "tic-tac-toe"]


def test_the_catalogue_holds_its_experts_by_key_in_order():
    experts = catalogue_experts()
    assert list(experts) == NAMES
    assert all(expert.key == expert.name == key for key, expert in experts.items())


@pytest.mark.parametrize("name", NAMES)
def test_an_expert_of_the_catalogue_is_complete(name):
    expert = catalogue_experts()[name]
    assert expert.version == "1.0.0"
    assert expert.tags
    assert 0 < len(expert.description) <= 2048
    assert "\n" not in expert.description
    assert 0 < len(expert.instruction) <= 20480


def test_delegates_of_the_catalogue_are_in_the_catalogue():
    experts = catalogue_experts()
    assert experts["fitness-assistant"].delegates == ("pro-trainer",)
    assert all(key in experts for expert in experts.values() for key in expert.delegates)


def test_the_catalogue_is_free_of_warnings():
    for file in resources.files(catalogue).iterdir():
        if file.name.endswith(".toml"):
            assert parse_config(file.read_text(encoding="utf-8"), file.name).warnings == ()


def test_the_question_of_create_expert_may_come_with_choices():
    interview = catalogue_experts()["create-expert"].skills["interview"]
    assert isinstance(interview, InteractiveSkill)
    schema = json.loads(interview.tools["askUser"].input_json_schema)
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    assert check.is_valid({"question": "What for?"})
    assert check.is_valid({"question": "What for?", "choices": ["Mail", "News"]})
    assert not check.is_valid({"choices": ["Mail"]})


def test_the_turn_tool_of_tic_tac_toe_takes_a_board_and_a_message():
    player = catalogue_experts()["tic-tac-toe"].skills["player"]
    assert isinstance(player, InteractiveSkill)
    schema = json.loads(player.tools["takeTurn"].input_json_schema)
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    assert check.is_valid({"board": "....X....", "message": "Your move."})
    assert not check.is_valid({"board": "....X", "message": "Your move."})
    assert not check.is_valid({"board": "....X...."})


def test_equal_experts_have_equal_digests_whatever_their_order():
    def expert(**fields: str) -> Expert:
        return Expert(key="a", name="a", instruction="Work.", provider_tool_options={**fields})

    assert digest(expert(x="1", y="2")) == digest(expert(y="2", x="1"))
    assert re.fullmatch(r"[0-9a-f]{64}", digest(expert()))


def test_a_version_that_is_said_and_one_that_is_left_out_are_the_same():
    text = '[experts.a]\ninstruction = "Work."\n'
    left_out, said = (parse_config(each, "x") for each in (text, f'{text}version = "1.0.0"\n'))
    assert digest(said.experts["a"]) == digest(left_out.experts["a"])


def test_any_edit_changes_the_digest():
    expert = catalogue_experts()["tic-tac-toe"]
    edits: list[dict[str, object]] = [
        {"instruction": expert.instruction + " "},
        {"description": ""},
        {"skills": {}},
        {"version": "1.0.1"},
    ]
    digests = {digest(msgspec.structs.replace(expert, **edit)) for edit in edits}
    assert len(digests | {digest(expert)}) == len(edits) + 1


def test_a_written_and_read_back_expert_keeps_its_digest():
    expert = catalogue_experts()["tic-tac-toe"]
    copy = msgspec.json.decode(msgspec.json.encode(expert), type=Expert)
    assert digest(copy) == digest(expert)


def test_the_key_an_expert_was_asked_for_by_does_not_change_its_digest():
    expert = catalogue_experts()["tic-tac-toe"]
    asked = msgspec.structs.replace(expert, key="tic-tac-toe@1.0.0")
    assert digest(asked) == digest(expert)
