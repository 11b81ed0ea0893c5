"""`result.cost`: what a job's replies cost, for whoever asks."""

import dataclasses
import sys

import pytest
from msgspec.structs import replace

from cli.server import serving
from perstack import Event, Expert, MemoryStore, run
from perstack.assembly.prices import price_of
from perstack.embedding.result import Result
from perstack.schema.event import RuntimeInitialized
from perstack.schema.usage import Usage
from perstack.testing import ScriptedModel, call, say
from perstack.views.cost import NO_COST, Asked, Cost

pytestmark = pytest.mark.anyio

HELPER = Expert("helper", "You are helper.", description="Helps.")
LEAD = Expert("lead", "You are lead.", delegates=[HELPER])
COUNTS = {"inputTokens": 1000, "outputTokens": 100}
SCENARIO = {
    "rules": [
        {"system": "You are helper", "replies": [{"text": "Helped.", **COUNTS}]},
        {
            "system": "You are lead",
            "by": "turn",
            "replies": [
                {"calls": [{"name": "helper", "args": {"query": "Help."}}], **COUNTS},
                {"text": "Done.", **COUNTS},
            ],
        },
    ]
}


def of_vendor(result: Result) -> Result:
    """The same, as if the vendor had been asked and not a server on this machine."""
    events: list[Event] = []
    for event in result.events:
        seen = event.published
        if seen is not None and isinstance(seen.fact, RuntimeInitialized):
            published = dataclasses.replace(seen, fact=replace(seen.fact, provider_address=None))
            events.append(dataclasses.replace(event, published=published))
        else:
            events.append(event)
    return dataclasses.replace(result, events=tuple(events))


async def test_a_result_has_the_cost_of_each_reply_those_of_delegates_as_well(tmp_path):
    with serving(SCENARIO, tmp_path) as env:
        result = await run(LEAD, "Go.", env=env, store=MemoryStore(), workspace=tmp_path)
    assert result.text == "Done."
    made = next(e.detail for e in result.events if isinstance(e.detail, RuntimeInitialized))
    assert (made.provider, made.provider_address) == ("anthropic", env["ANTHROPIC_BASE_URL"])
    assert result.cost == Cost(unknown_replies=3), "a server on this machine has no prices"
    usage = Usage(input_tokens=1000, output_tokens=100)
    price = price_of(Asked("anthropic", None, made.model), usage, made.timestamp)
    assert price
    assert of_vendor(result).cost == Cost(usd=round(3 * price, 10))


async def test_a_model_of_the_programs_own_has_no_price_that_is_known(tmp_path):
    counted = Usage(input_tokens=3, output_tokens=2, total_tokens=5)
    model = ScriptedModel([call("healthCheck", usage=counted), say("Well.", usage=counted)])
    result = await run(HELPER, "How?", provider=model, workspace=tmp_path)
    assert result.cost == Cost(usd=None, unknown_replies=2)


async def test_replies_that_counted_no_tokens_cost_nothing_and_load_no_prices(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    result = await run(HELPER, "Hi", provider=ScriptedModel([say("Hello.")]), workspace=tmp_path)
    assert result.cost == NO_COST
    assert of_vendor(result).cost == NO_COST


async def test_a_cost_is_of_this_continuation(tmp_path):
    store = MemoryStore()
    with serving(SCENARIO, tmp_path) as env:
        given = {"env": env, "store": store, "workspace": tmp_path}
        first = await run(LEAD, "Go.", **given)
        second = await run(LEAD, "Again.", continue_job=first.job_id, **given)
    replies = sum(event.type in ("callTools", "completeRun") for event in second.events)
    assert second.cost.unknown_replies == replies
    assert second.usage.input_tokens > 3000, "which is of the whole job"
