"""Which tool is offered under which name."""

from __future__ import annotations

import pytest

from perstack.skills.mcp.names import MAX_NAME, Named, names_of


def names(*skills: tuple[str, list[str]], taken: tuple[str, ...] = ()) -> list[str]:
    return [named.name for named in names_of(skills, taken)]


def test_a_tool_keeps_its_name_where_nobody_else_has_it():
    assert names(("a", ["read", "write-it", "x_1"])) == ["read", "write-it", "x_1"]


def test_the_first_declared_skill_keeps_the_name_and_the_other_is_prefixed():
    assert names_of([("b", ["search"]), ("a", ["search"])], ()) == (
        Named("search", "b", "search"),
        Named("a__search", "a", "search"),
    )


@pytest.mark.parametrize("tool", ["exec", "attemptCompletion", "helper"])
def test_a_name_of_others_is_never_given(tool: str):
    assert names(("web", [tool]), taken=("exec", "attemptCompletion", "helper")) == [f"web__{tool}"]


def test_a_second_tool_of_one_name_in_one_skill_gets_none():
    assert names(("a", ["twin", "twin"])) == ["twin"]


def test_a_prefix_that_is_taken_too_leads_to_a_name_of_its_own():
    found = names(("a", ["b__c", "x"]), ("a__b", ["c"]), ("a", ["b__c"]), taken=("c", "x"))
    assert len(set(found)) == len(found)
    assert found[:2] == ["b__c", "a__x"]
    assert found[2] == "a__b__c"


@pytest.mark.parametrize(
    "tool", ["with space", "\x1b[31mred", "ex\u0435c", "n" * 300, "a/b", "é", "..", "\ud83d"]
)
def test_a_name_that_no_wire_takes_is_made_safe_and_stays_unlike_others(tool: str):
    [name, other] = names(("@scope/skill", [tool, tool + "!"]))
    assert name != other
    for one in (name, other):
        assert 0 < len(one) <= MAX_NAME
        assert one.replace("_", "").replace("-", "").isalnum()
        assert one.isascii()
    assert names(("@scope/skill", [tool, tool + "!"])) == [name, other]
