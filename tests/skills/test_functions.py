"""Functions as tools: the schema a model sees, arguments checked, answers of any kind."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypedDict

import jsonschema
import msgspec
import pydantic
import pytest

from perstack.errors import UsageError
from perstack.schema.message import ImageInlinePart, TextPart, ToolResultPart
from perstack.schema.tool import ToolOutput
from perstack.skills.functions import FunctionTool, FunctionTools

pytestmark = pytest.mark.anyio


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    verbose: bool


class Inner(pydantic.BaseModel):
    number: int


class Order(pydantic.BaseModel):
    item: str
    inner: Inner


async def search(
    query: str,
    point: Point,
    limit: int = 5,
    mode: Literal["fast", "deep"] = "fast",
    colour: Colour = Colour.RED,
    tags: list[str] | None = None,
    options: Options = {},  # noqa: B006 - what people write
) -> str:
    """Search the wiki.

    Only pages in English.

    Args:
        query: What to look for,
            in words.
        limit (int): At most so many pages.

    Returns:
        Titles.
    """
    return f"{query} {point.x} {point.y} {limit} {mode} {colour.value} {tags} {options}"


def schema_of(function) -> dict:
    return dict(FunctionTool(function).definition.input_schema)


async def text_of(function, args) -> str:
    output = await FunctionTool(function).call(args)
    assert not output.is_error, output
    (part,) = output.contents
    assert isinstance(part, TextPart)
    return part.text


def test_a_schema_says_what_the_signature_says():
    schema = schema_of(search)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["required"] == ["query", "point"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["query"] == {
        "type": "string",
        "description": "What to look for, in words.",
    }
    limit = schema["properties"]["limit"]
    assert (limit["type"], limit["default"]) == ("integer", 5)
    assert limit["description"] == "At most so many pages."
    jsonschema.validate({"query": "x", "point": {"x": 1}, "colour": "blue"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"query": "x", "point": {"x": "1"}}, schema)


def test_the_description_is_the_docstring_before_its_sections():
    definition = FunctionTool(search).definition
    assert definition.name == "search"
    assert definition.description == "Search the wiki.\n\nOnly pages in English."


async def test_arguments_arrive_as_the_types_that_were_named():
    text = await text_of(search, {"query": "a", "point": {"x": 1}, "colour": "blue"})
    assert text == "a 1 0 5 fast blue None {}"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "query"),
        ({"query": 1, "point": {"x": 1}}, "$.query"),
        ({"query": "a", "point": {"x": "1"}}, "$.point.x"),
        ({"query": "a", "point": {"x": 1}, "mode": "slow"}, "slow"),
        ({"query": "a", "point": {"x": 1}, "unknown": 1}, "unknown"),
    ],
)
async def test_arguments_that_do_not_fit_are_an_answer_that_says_where(args, words):
    output = await FunctionTool(search).call(args)
    assert output.is_error
    assert words in str(output.contents[0])


async def test_models_of_pydantic_are_checked_by_themselves():
    async def order(what: Order) -> Order:
        return what

    schema = schema_of(order)
    jsonschema.Draft202012Validator.check_schema(schema)
    given = {"what": {"item": "tea", "inner": {"number": 2}}}
    jsonschema.validate(given, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"what": {"item": "tea", "inner": {"number": "x"}}}, schema)
    assert msgspec.json.decode(await text_of(order, given)) == given["what"]
    output = await FunctionTool(order).call({"what": {"item": "tea"}})
    assert output.is_error
    assert "inner" in str(output.contents[0])


async def test_words_in_annotated_describe_a_parameter():
    async def scale(factor: Annotated[float, "How much larger.", msgspec.Meta(gt=0)]) -> float:
        return factor

    shown = schema_of(scale)["properties"]["factor"]
    assert shown["description"] == "How much larger."
    assert shown["exclusiveMinimum"] == 0
    assert (await FunctionTool(scale).call({"factor": -1})).is_error


async def test_a_plain_function_runs_in_a_thread_and_answers_too():
    import threading

    here = threading.get_ident()

    def where() -> bool:
        return threading.get_ident() == here

    assert await text_of(where, {}) == "false"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("words", "words"),
        (None, "Done."),
        (3, "3"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
        (Point(1, 2), '{"x":1,"y":2}'),
        ({1, 2}, "[1,2]"),
        (object, "<class 'object'>"),
    ],
)
async def test_an_answer_of_any_kind_is_told(answer, text):
    async def tell() -> object:
        return answer

    assert (await text_of(tell, {})).strip('"') == text


async def test_parts_are_passed_on_as_they_are():
    image = ImageInlinePart(encoded_data="aGk=", mime_type="image/png")

    async def look() -> list[object]:
        return [TextPart(text="See:"), image]

    output = await FunctionTool(look).call({})
    assert output.contents == (TextPart(text="See:"), image)


async def test_what_a_function_raises_is_an_answer():
    async def fails() -> None:
        raise LookupError("no such page")

    output = await FunctionTool(fails).call({})
    assert output.is_error
    assert "LookupError: no such page" in str(output.contents[0])


async def test_a_method_and_an_object_with_a_name_can_be_tools():
    class Wiki:
        def __init__(self, pages) -> None:
            self.pages = pages

        async def read(self, page: str) -> str:
            """Read a page."""
            return self.pages[page]

    tool = FunctionTool(Wiki({"a": "text"}).read, name="read-page", effect="none")
    definition = tool.definition
    assert (definition.name, definition.effect) == ("read-page", "none")
    assert (await tool.call({"page": "a"})).contents == (TextPart(text="text"),)


def no_type(page) -> None: ...


def rest(*pages: str) -> None: ...


def named(**pages: str) -> None: ...


def positional(page: str, /) -> None: ...


def unknowable(page: NoSuchType) -> None: ...  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


def shapeless(page: object.__class__) -> None: ...


@pytest.mark.parametrize("function", [no_type, rest, named, positional, unknowable])
def test_a_signature_that_json_cannot_have_is_refused_by_name(function):
    with pytest.raises(UsageError, match=function.__name__):
        FunctionTool(function)


@pytest.mark.parametrize("name", ["exec", "attemptCompletion"])
def test_a_name_of_the_base_skill_is_taken(name):
    with pytest.raises(UsageError, match="base skill"):
        FunctionTool(search, name=name)


def test_a_function_without_a_name_needs_one():
    with pytest.raises(UsageError, match="give it one"):
        FunctionTool(lambda: None)


async def test_a_source_answers_for_the_tools_it_has():
    async with FunctionTools([FunctionTool(search)]) as source:
        assert [tool.name for tool in source.tools()] == ["search"]
        output = await source.call("nothing", {})
    assert output.is_error


@pytest.mark.parametrize(
    "answer",
    [
        TextPart(text=5),  # pyright: ignore[reportArgumentType]
        [TextPart(text=None)],  # pyright: ignore[reportArgumentType]
        ToolOutput(contents=(), is_error="yes"),  # pyright: ignore[reportArgumentType]
        ToolOutput(contents=(ToolResultPart(tool_call_id="a", tool_name="b", contents=()),)),  # pyright: ignore[reportArgumentType]
        TextPart(text="half \ud83d"),
    ],
)
async def test_an_answer_that_no_log_could_give_back_is_told_as_a_failure(answer):
    async def tell() -> object:
        return answer

    output = await FunctionTool(tell).call({})
    assert output.is_error
    assert "cannot be kept" in str(output.contents[0])


async def test_an_error_without_words_is_an_answer_too():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("nothing to say")

    async def fails() -> None:
        raise Mute

    output = await FunctionTool(fails).call({})
    assert output.is_error
    assert "Mute" in str(output.contents[0])


def test_an_effect_that_is_none_is_refused():
    with pytest.raises(UsageError, match="effect"):
        FunctionTool(search, effect="bogus")  # pyright: ignore[reportArgumentType]


def test_a_generator_is_no_tool():
    def pages(query: str):
        yield query

    with pytest.raises(UsageError, match="generator"):
        FunctionTool(pages)


async def test_a_partial_and_an_object_that_can_be_called_are_tools():
    class Adder:
        def __init__(self, to: int) -> None:
            self.to = to

        async def __call__(self, number: int) -> int:
            return self.to + number

    def add(a: int, b: int) -> int:
        return a + b

    assert await text_of_tool(FunctionTool(Adder(2), name="adder"), {"number": 3}) == "5"
    assert await text_of_tool(FunctionTool(partial(add, b=2), name="add"), {"a": 1}) == "3"


async def text_of_tool(tool, args) -> str:
    output = await tool.call(args)
    assert not output.is_error, output
    return output.contents[0].text


def broken(page: 1 / 0) -> None: ...  # pyright: ignore[reportInvalidTypeForm]


class Unencodable:
    @classmethod
    def model_json_schema(cls) -> dict:
        return {"type": "object", "default": object()}

    @classmethod
    def model_validate(cls, value):
        return value


def odd(page: Unencodable) -> None: ...


@pytest.mark.parametrize("function", [broken, odd])
def test_types_that_break_when_they_are_read_are_named(function):
    with pytest.raises(UsageError, match=function.__name__):
        FunctionTool(function)
