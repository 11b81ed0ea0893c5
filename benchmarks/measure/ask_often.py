"""One client of a model's wire, asked again and again.

    python ask_often.py CLIENT WIRE MESSAGES BLOCKS URL

CLIENT is `perstack`, `sdk` (the vendor's own) or `pydantic-ai`; WIRE is `anthropic`,
`responses` or `chat`. Prints, as JSON, the CPU seconds that a request with so many
MESSAGES of history took, one mean for each block of requests. Perstack and pydantic-ai
put the reply together; the SDKs' events are only read, which is the least they can do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from conversations import (
    INSTRUCTION,
    QUESTION,
    READ,
    SAID,
    SCHEMA,
    TOOLS,
    anthropic_messages,
    chat_messages,
    described,
    responses_input,
    turns,
)

KEY = "sk-benchmark-no-real-key"
MODELS = {"anthropic": "claude-sonnet-4-5", "responses": "gpt-5", "chat": "gpt-5"}
REQUESTS = 10
"""In one block."""

Ask = Callable[[], Awaitable[tuple[int, int]]]
"""One request: how many pieces of text came, and how many calls."""


def perstack(wire: str, messages: int, url: str) -> Ask:
    """Perstack's own wire, on the history of a run: what was sent before is encoded."""
    from perstack.providers import GenerateRequest, Reply, TextDelta
    from perstack.providers.table import open_provider
    from perstack.schema.history import History
    from perstack.schema.message import (
        ExpertMessage,
        TextPart,
        ToolCallPart,
        ToolMessage,
        ToolResultPart,
        user_message,
    )
    from perstack.schema.settings import ProviderSettings
    from perstack.schema.tool import ToolDefinition

    told: list[Any] = [user_message("m", QUESTION)]
    for call_id, args in turns(messages):
        call = ToolCallPart(tool_call_id=call_id, tool_name=TOOLS[0], args=dict(args))
        said = (TextPart(text=SAID), call)
        result = ToolResultPart(
            tool_call_id=call_id, tool_name=TOOLS[0], contents=(TextPart(text=READ),)
        )
        told.append(ExpertMessage(id=f"{call_id}-said", contents=said))
        told.append(ToolMessage(id=f"{call_id}-read", contents=(result,)))
    tools = tuple(
        ToolDefinition(
            skill_name="base", name=name, description=described(name), input_schema=SCHEMA
        )
        for name in TOOLS
    )
    request = GenerateRequest(
        model=MODELS[wire], instruction=INSTRUCTION, messages=History(told), tools=tools
    )
    if wire == "anthropic":
        settings = ProviderSettings(base_url=url)
    else:
        api = "responses" if wire == "responses" else "chat"
        settings = ProviderSettings(provider_name="openai", base_url=url, api=api)
    provider = open_provider(settings, {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY})

    async def ask() -> tuple[int, int]:
        pieces = 0
        async for piece in provider.generate(request):
            if isinstance(piece, TextDelta):
                pieces += 1
            elif isinstance(piece, Reply):
                return pieces, len(piece.message.calls)
        return pieces, -1

    return ask


def sdk(wire: str, messages: int, url: str) -> Ask:
    """The vendor's package. Its events are read, and nothing is put together."""
    if wire == "anthropic":
        from anthropic import AsyncAnthropic

        claude: Any = AsyncAnthropic(api_key=KEY, base_url=url)
        told = anthropic_messages(messages)
        tools = [
            {"name": name, "description": described(name), "input_schema": SCHEMA} for name in TOOLS
        ]

        async def ask() -> tuple[int, int]:
            pieces = calls = 0
            async for event in await claude.messages.create(
                model=MODELS[wire],
                max_tokens=8000,
                system=INSTRUCTION,
                messages=told,
                tools=tools,
                stream=True,
            ):
                kind = event.type
                pieces += kind == "content_block_delta" and event.delta.type == "text_delta"
                calls += kind == "content_block_start" and event.content_block.type == "tool_use"
            return pieces, calls

        return ask
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1")
    return (_responses if wire == "responses" else _chat)(client, messages)


def _responses(client: Any, messages: int) -> Ask:
    told = responses_input(messages)
    tools = [
        {"type": "function", "name": name, "description": described(name), "parameters": SCHEMA}
        for name in TOOLS
    ]

    async def ask() -> tuple[int, int]:
        pieces = calls = 0
        async for event in await client.responses.create(
            model=MODELS["responses"],
            instructions=INSTRUCTION,
            input=told,
            tools=tools,
            store=False,
            stream=True,
        ):
            pieces += event.type == "response.output_text.delta"
            calls += event.type == "response.function_call_arguments.done"
        return pieces, calls

    return ask


def _chat(client: Any, messages: int) -> Ask:
    told = chat_messages(messages)
    tools = [
        {
            "type": "function",
            "function": {"name": name, "description": described(name), "parameters": SCHEMA},
        }
        for name in TOOLS
    ]

    async def ask() -> tuple[int, int]:
        pieces = calls = 0
        async for chunk in await client.chat.completions.create(
            model=MODELS["chat"],
            messages=told,
            tools=tools,
            stream=True,
            stream_options={"include_usage": True},
        ):
            for choice in chunk.choices:
                pieces += bool(choice.delta.content)
                calls += sum(bool(call.id) for call in choice.delta.tool_calls or ())
        return pieces, calls

    return ask


def pydantic_ai(wire: str, messages: int, url: str) -> Ask:
    """The library's streamed request, with the reply it puts together."""
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import (
        ModelRequest,
        ModelResponse,
        PartDeltaEvent,
        PartStartEvent,
        TextPart,
        TextPartDelta,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    told: list[Any] = [
        ModelRequest(parts=[UserPromptPart(content=QUESTION)], instructions=INSTRUCTION)
    ]
    for call_id, args in turns(messages):
        call = ToolCallPart(tool_name=TOOLS[0], args=args, tool_call_id=call_id)
        told.append(ModelResponse(parts=[TextPart(content=SAID), call]))
        result = ToolReturnPart(tool_name=TOOLS[0], content=READ, tool_call_id=call_id)
        told.append(ModelRequest(parts=[result], instructions=INSTRUCTION))
    tools = [
        ToolDefinition(name=name, description=described(name), parameters_json_schema=SCHEMA)
        for name in TOOLS
    ]
    given = ModelRequestParameters(function_tools=tools, allow_text_output=True)
    model = _model(wire, url)

    async def ask() -> tuple[int, int]:
        pieces = 0
        async with model_request_stream(model, told, model_request_parameters=given) as stream:
            async for event in stream:
                is_start = isinstance(event, PartStartEvent) and isinstance(event.part, TextPart)
                is_more = isinstance(event, PartDeltaEvent) and isinstance(
                    event.delta, TextPartDelta
                )
                pieces += is_start or is_more
            return pieces, len(stream.get().tool_calls)

    return ask


def _model(wire: str, url: str) -> Any:
    if wire == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return AnthropicModel(MODELS[wire], provider=AnthropicProvider(api_key=KEY, base_url=url))
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(api_key=KEY, base_url=f"{url}/v1")
    kind = OpenAIResponsesModel if wire == "responses" else OpenAIChatModel
    return kind(MODELS[wire], provider=provider)


CLIENTS: dict[str, Callable[[str, int, str], Ask]] = {
    "perstack": perstack,
    "sdk": sdk,
    "pydantic-ai": pydantic_ai,
}


async def measure(client: str, wire: str, messages: int, blocks: int, url: str) -> list[float]:
    """CPU seconds of a request, a mean for each block. What comes first only warms up."""
    ask = CLIENTS[client](wire, messages, url)
    taken: list[float] = []
    for _ in range(blocks + 1):
        before = time.process_time()
        for _number in range(REQUESTS):
            pieces, calls = await ask()
            if pieces < 40 or calls != 2:
                sys.exit(f"{client} saw {pieces} pieces of text and {calls} calls")
        taken.append((time.process_time() - before) / REQUESTS)
    return taken[1:]


def main() -> None:
    """Ask, and say what it took."""
    client, wire, messages, blocks, url = sys.argv[1:]
    json.dump(anyio.run(measure, client, wire, int(messages), int(blocks), url), sys.stdout)


if __name__ == "__main__":
    main()
