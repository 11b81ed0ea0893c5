"""Several sources of tools as one."""

import pytest

from perstack.schema.tool import ToolDefinition
from perstack.skills.toolbox import Toolbox
from perstack.testing import FakeTools

pytestmark = pytest.mark.anyio


class Recording(FakeTools):
    def __init__(self, name: str, log: list[str], *, fails: bool = False) -> None:
        super().__init__({name: lambda _: name})
        self.name, self.log, self.fails = name, log, fails

    async def __aenter__(self):
        if self.fails:
            raise OSError("it does not start")
        self.log.append(f"open {self.name}")
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self.log.append(f"close {self.name}")


async def test_sources_open_in_order_and_close_in_reverse():
    log: list[str] = []
    async with Toolbox([Recording("a", log), Recording("b", log)]) as tools:
        assert (await tools.call("b", {})).contents
    assert log == ["open a", "open b", "close b", "close a"]


async def test_a_source_that_does_not_open_closes_those_before_it():
    log: list[str] = []
    with pytest.raises(OSError, match="does not start"):
        async with Toolbox([Recording("a", log), Recording("b", log, fails=True)]):
            pass
    assert log == ["open a", "close a"]


async def test_the_first_source_of_a_name_has_it_and_listed_tools_cannot_be_called():
    listed = ToolDefinition(skill_name="people", name="ask", input_schema={})
    async with Toolbox(
        [FakeTools({"a": lambda _: "1"}), FakeTools({"a": lambda _: "2"})], [listed]
    ) as tools:
        assert [tool.name for tool in tools.tools()] == ["a", "ask"]
        assert getattr((await tools.call("a", {})).contents[0], "text", "") == "1"
        assert (await tools.call("ask", {})).is_error
        assert (await tools.call("nothing", {})).is_error


async def test_a_source_that_may_come_to_offer_more_stands_behind_all_others():
    listed = ToolDefinition(skill_name="people", name="ask", input_schema={})
    async with Toolbox(
        [FakeTools({"a": lambda _: "1"})], [listed], [FakeTools({"b": lambda _: "2"})]
    ) as tools:
        assert [tool.name for tool in tools.tools()] == ["a", "ask", "b"]
        assert getattr((await tools.call("b", {})).contents[0], "text", "") == "2"
