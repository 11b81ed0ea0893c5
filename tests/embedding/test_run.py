"""`run`: an Expert from Python or a file, with everything that can be given to it."""

import signal
import sys

import anyio
import pytest

import perstack
from perstack import (
    CannotContinue,
    ConfigurationError,
    Expert,
    FilesStore,
    FunctionTool,
    MemoryStore,
    NoSuchJob,
    Runtime,
    UnknownExpert,
    UsageError,
    load_config,
    load_env,
    run,
    run_sync,
)
from perstack.config.lock_text import lock_text
from perstack.schema.event import RunStarted, RuntimeInitialized, ToolCallCompleted
from perstack.schema.lockfile import LockedExpert, Lockfile
from perstack.schema.message import TextPart
from perstack.schema.usage import Usage
from perstack.testing import ScriptedModel, call, fail, say, together

pytestmark = pytest.mark.anyio

GREETER = Expert("greeter", "Greet whoever asks.")


async def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def model(*replies) -> ScriptedModel:
    return ScriptedModel(list(replies))


async def test_an_expert_in_python_runs_and_tells_its_result(tmp_path):
    result = await run(GREETER, "I am Ada.", provider=model(say("Hello, Ada.")), workspace=tmp_path)
    assert (result.status, result.text, result.steps) == ("completed", "Hello, Ada.", 1)
    assert result.error is None
    assert result.questions == ()
    assert [event.type for event in result.events][-1] == "completeRun"
    assert {event.job_id for event in result.events} == {result.job_id}
    assert (tmp_path / "perstack/jobs" / result.job_id).is_dir()


async def test_usage_is_that_of_the_whole_job(tmp_path):
    counted = Usage(input_tokens=3, output_tokens=2, total_tokens=5)
    replies = [call("healthCheck", usage=counted), say("Well.", usage=counted)]
    result = await run(GREETER, "How?", provider=model(*replies), workspace=tmp_path)
    assert result.usage == counted + counted


async def test_an_expert_of_a_file_runs_by_its_key(tmp_path):
    file = tmp_path / "perstack.toml"
    file.write_text('model = "some-model"\nmaxSteps = 7\n[experts.poet]\ninstruction = "Rhyme."\n')
    asked = model(say("A rhyme."))
    result = await run("poet", "Go", config=load_config(file), provider=asked, workspace=tmp_path)
    assert result.text == "A rhyme."
    assert asked.requests[0].model == "some-model"
    assert "Rhyme." in asked.requests[0].instruction


async def test_a_lock_that_is_older_than_its_file_is_noticed(tmp_path):
    file = tmp_path / "perstack.toml"
    file.write_text('[experts.poet]\ninstruction = "Rhyme."\n')
    config = load_config(file)
    locked = {"poet": LockedExpert(expert=config.experts["poet"])}
    lock = Lockfile(generated_at=1, config_path=file.name, experts=locked)
    (tmp_path / "perstack.lock").write_text(lock_text(lock))
    told = []
    for verb in ("Rhyme.", "Sing."):
        file.write_text(f'[experts.poet]\ninstruction = "{verb}"\n')
        options = {"config": load_config(file), "workspace": tmp_path}
        result = await run("poet", "Go", provider=model(say("A rhyme.")), **options)
        first = result.events[0].detail
        assert isinstance(first, RuntimeInitialized)
        assert first.notice == result.notice
        told.append(result.notice or "")
    assert told[0] == ""
    assert told[1].startswith("perstack.lock is older than perstack.toml: poet changed since.")


async def test_an_expert_in_python_is_no_reason_to_install(tmp_path):
    file = tmp_path / "perstack.toml"
    file.write_text('[experts.poet]\ninstruction = "Rhyme."\n')
    lock = Lockfile(generated_at=1, config_path=file.name)
    (tmp_path / "perstack.lock").write_text(lock_text(lock))
    server = {"type": "mcpStdioSkill", "command": "no-such-program", "args": []}
    lead = Expert("lead", "Lead.", skills={"tools": server})
    asked = model(say("Led."))
    result = await run(lead, "Go", config=load_config(file), provider=asked, workspace=tmp_path)
    assert (result.text, result.notice) == ("Led.", None)


async def test_an_option_wins_over_the_file(tmp_path):
    file = tmp_path / "perstack.toml"
    file.write_text('model = "some-model"\n[experts.poet]\ninstruction = "Rhyme."\n')
    asked = model(say("A rhyme."))
    options = {"config": load_config(file), "provider": asked, "workspace": tmp_path}
    await run("poet", "Go", model="other", timeout=9_000, reasoning_budget=4_000, **options)
    request = asked.requests[0]
    assert (request.model, request.timeout, request.reasoning_budget) == ("other", 9_000, 4_000)


async def test_a_function_is_a_tool(tmp_path):
    asked = model(call("add", {"a": 2, "b": 3}), say("Five."))
    expert = Expert("adder", "Add.", tools=[add])
    result = await run(expert, "2 + 3?", provider=asked, workspace=tmp_path)
    offered = next(tool for tool in asked.requests[0].tools if tool.name == "add")
    assert offered.description == "The sum of two numbers."
    answers = [
        event.detail.tool_result.text
        for event in result.events
        if isinstance(event.detail, ToolCallCompleted)
    ]
    assert answers == ["5"]


async def test_functions_can_be_given_to_an_expert_of_a_file(tmp_path):
    file = tmp_path / "perstack.toml"
    file.write_text('[experts.adder]\ninstruction = "Add."\n')
    asked = model(call("add", {"a": 2, "b": 3}), say("Five."))
    result = await run(
        "adder", "?", config=load_config(file), tools=[add], provider=asked, workspace=tmp_path
    )
    assert result.status == "completed"
    assert "add" in [tool.name for tool in asked.requests[0].tools]


async def test_an_expert_delegates_to_another_that_has_functions_of_its_own(tmp_path):
    helper = Expert("helper", "You add.", description="Adds.", tools=[add])
    lead = Expert("lead", "You ask the helper.", delegates=[helper])
    asked = model(
        call("helper", {"query": "1 + 1"}), call("add", {"a": 1, "b": 1}), say("2"), say("Two.")
    )
    result = await run(lead, "1 + 1?", provider=asked, workspace=tmp_path)
    assert (result.status, result.text) == ("completed", "Two.")
    offered = [[tool.name for tool in request.tools] for request in asked.requests]
    assert ["add" in names for names in offered] == [False, True, True, False]
    started = [event.detail for event in result.events if isinstance(event.detail, RunStarted)]
    assert [fact.expert_key for fact in started] == ["lead", "helper", "lead"]


async def test_a_delegate_can_be_one_of_the_file(tmp_path):
    file = tmp_path / "perstack.toml"
    file.write_text('[experts.helper]\ninstruction = "Help."\ndescription = "Helps."\n')
    lead = Expert("lead", "Ask.", delegates=["helper"])
    asked = model(call("helper", {"query": "?"}), say("So."), say("Done."))
    result = await run(lead, "Go", config=load_config(file), provider=asked, workspace=tmp_path)
    assert result.text == "Done."


async def test_a_job_is_gone_on_with(tmp_path):
    first = await run(GREETER, "I am Ada.", provider=model(say("Hello.")), workspace=tmp_path)
    asked = model(say("Ada."))
    second = await run(
        GREETER, "Who am I?", provider=asked, workspace=tmp_path, continue_job=first.job_id
    )
    assert (second.job_id, second.text, second.steps) == (first.job_id, "Ada.", 2)
    assert len(asked.requests[0].messages) == 3


async def test_a_new_run_begins_at_a_checkpoint(tmp_path):
    first = await run(GREETER, "One.", provider=model(say("1")), workspace=tmp_path)
    options = {"workspace": tmp_path, "continue_job": first.job_id}
    await run(GREETER, "Two.", provider=model(say("2")), **options)
    asked = model(say("3"))
    await run(GREETER, "Three.", provider=asked, resume_from=first.checkpoint_id, **options)
    parts = [part for message in asked.requests[0].messages for part in message.contents]
    said = [part.text for part in parts if isinstance(part, TextPart)]
    assert said == ["One.", "1", "Three."]


ASKER = Expert(
    "asker",
    "Ask.",
    skills={
        "person": {
            "type": "interactiveSkill",
            "tools": {"askUser": {"inputJsonSchema": '{"type": "object"}'}},
        }
    },
)


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_question_is_answered(tmp_path, by_id):
    first = await run(
        ASKER, "Go", provider=model(call("askUser", {"what": "name"})), workspace=tmp_path
    )
    assert first.status == "stoppedByInteractiveTool"
    (question,) = first.questions
    assert (question.tool_name, question.args) == ("askUser", {"what": "name"})
    answer = {question.id: "Ada"} if by_id else "Ada"
    asked = model(say("Hello, Ada."))
    second = await run(
        ASKER, provider=asked, workspace=tmp_path, continue_job=first.job_id, answer=answer
    )
    assert second.text == "Hello, Ada."
    assert "Ada" in str(asked.requests[0].messages[-1])


async def test_an_answer_to_nothing_is_refused(tmp_path):
    first = await run(GREETER, "Hi", provider=model(say("Hello.")), workspace=tmp_path)
    with pytest.raises(CannotContinue, match="Nothing waits for an answer"):
        await run(
            GREETER, provider=model(), workspace=tmp_path, continue_job=first.job_id, answer="?"
        )


async def test_what_a_model_gets_wrong_is_in_the_result(tmp_path):
    refused = fail("authentication_error", 401)
    result = await run(GREETER, "Hi", provider=model(refused), workspace=tmp_path)
    assert (result.status, result.text) == ("stoppedByError", "")
    assert result.error is not None
    assert (result.error.name, result.error.status_code) == ("authentication_error", 401)


async def test_a_step_limit_is_kept_and_can_be_raised(tmp_path):
    first = await run(
        GREETER, "Hi", provider=model(call("healthCheck")), workspace=tmp_path, max_steps=1
    )
    assert (first.status, first.steps) == ("stoppedByMaxSteps", 1)
    second = await run(
        GREETER,
        "Go on",
        provider=model(say("Hello.")),
        workspace=tmp_path,
        max_steps=5,
        continue_job=first.job_id,
    )
    assert second.status == "completed"


async def test_should_continue_interrupts_at_a_steps_end_and_the_job_goes_on_later(tmp_path):
    seen = []

    async def enough(checkpoint) -> bool:
        seen.append((checkpoint.step_number, len(checkpoint.messages)))
        return False

    asked = model(call("healthCheck"), say("Well."))
    options = {"provider": asked, "workspace": tmp_path}
    first = await run(GREETER, "How?", should_continue=enough, **options)
    assert (first.status, first.steps) == ("interrupted", 1)
    assert seen == [(2, 4)]  # where step 2 begins: instruction, query, call and answer
    second = await run(GREETER, continue_job=first.job_id, **options)
    assert (second.status, second.text) == ("completed", "Well.")


async def test_a_hook_that_says_neither_yes_nor_no_stops_the_run_with_a_reason(tmp_path):
    asked = model(call("healthCheck"), say("Well."))
    result = await run(
        GREETER,
        "How?",
        should_continue=lambda _: None,  # pyright: ignore[reportArgumentType]
        provider=asked,
        workspace=tmp_path,
    )
    assert result.error is not None
    assert "should_continue must say True or False" in result.error.message


async def test_a_store_of_ones_own_is_used(tmp_path):
    store = MemoryStore()
    first = await run(GREETER, "Hi", provider=model(say("Hello.")), workspace=tmp_path, store=store)
    assert [job.id for job in await store.jobs()] == [first.job_id]
    assert list(tmp_path.iterdir()) == []


async def test_a_files_store_can_lie_elsewhere(tmp_path):
    (tmp_path / "work").mkdir()
    first = await run(
        GREETER,
        "Hi",
        provider=model(say("Hello.")),
        workspace=tmp_path / "work",
        store=FilesStore(tmp_path / "kept"),
    )
    assert (tmp_path / "kept/jobs" / first.job_id).is_dir()


async def test_a_provider_that_was_given_is_not_closed(tmp_path):
    asked = model(say("1"))
    await run(GREETER, "Hi", provider=asked, workspace=tmp_path)
    assert not asked.is_closed


async def test_nothing_is_printed_and_no_global_is_touched(tmp_path, capfd, monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    during = {}

    def look(_event) -> None:
        during.update({number: signal.getsignal(number) for number in before})

    expert = Expert("worker", "Work.", tools=[add])
    asked = model(
        together(call("add", {"a": 1, "b": "x"}), call("exec", {"command": "no-such-thing"})),
        say("Done."),
    )
    hook, path = sys.excepthook, list(sys.path)
    await run(expert, "Go", provider=asked, workspace=tmp_path, listener=look)
    assert during == before
    assert (sys.excepthook, sys.path) == (hook, path)
    assert capfd.readouterr() == ("", "")


async def test_jobs_run_side_by_side_in_one_loop(tmp_path):
    barrier = anyio.Event()
    waiting = 0

    async def meet() -> str:
        nonlocal waiting
        waiting += 1
        if waiting == 5:
            barrier.set()
        await barrier.wait()
        return "met"

    expert = Expert("meeter", "Meet.", tools=[meet])
    results = []
    async with Runtime(
        provider=ScriptedModel([call("meet"), say("Done.")], by="turn"),
        workspace=tmp_path,
    ) as runtime:

        async def one() -> None:
            results.append(await runtime.run(expert, "Go"))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(one)
    assert {result.status for result in results} == {"completed"}
    assert len({result.job_id for result in results}) == 5
    for result in results:
        assert {event.job_id for event in result.events} == {result.job_id}


async def test_the_catalogues_experts_play_without_a_key_and_say_so(tmp_path):
    result = await run("tic-tac-toe", "Let's play!", workspace=tmp_path, env={})
    assert result.status == "stoppedByInteractiveTool"
    assert result.notice is not None
    assert "no AI model is used" in result.notice


async def test_without_a_key_nothing_begins(tmp_path):
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await run(GREETER, "Hi", workspace=tmp_path, env={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"query": None}, "query is missing"),
        ({"query": "  "}, "query is empty"),
        ({"provider": "antropic"}, "did you mean"),
        ({"max_steps": 0}, "max_steps: 0 is no whole number from 1"),
        ({"max_retries": -1}, "max_retries"),
        ({"timeout": True}, "timeout"),
        ({"reasoning_budget": "lots"}, "reasoning_budget"),
        ({"workspace": "/no/such/folder"}, "workspace: '/no/such/folder' is not a folder"),
        ({"resume_from": "c1"}, "resume_from needs continue_job"),
        ({"answer": "yes"}, "answer needs continue_job"),
        ({"continue_job": "j", "answer": "yes"}, "A query and an answer"),
        ({"job_id": "a", "continue_job": "b"}, "job_id names a new job"),
        ({"job_id": "../x"}, "job_id"),
        ({"config": "perstack.toml"}, "config takes what load_config returns"),
        ({"listener": ["no"]}, "listener takes a function"),
        ({"listner": print}, "There is no option 'listner'"),
        ({"expert": "UPPER"}, "not an Expert key"),
    ],
)
async def test_an_option_that_cannot_be_used_is_named(tmp_path, options, words):
    given = {"expert": GREETER, "query": "Hi", "provider": model(), "workspace": tmp_path} | options
    expert, query = given.pop("expert"), given.pop("query")
    with pytest.raises(UsageError, match=words):
        await run(expert, query, **given)


@pytest.mark.parametrize(
    ("expert", "words"),
    [
        (Expert("x", ""), "instruction"),
        (Expert("Not A Name", "Hi."), "not an Expert's name"),
        (Expert("x", "Hi.", skills={"s": {"type": "what"}}), "type"),
        (Expert("x", "Hi.", delegates=["no/such key"]), "delegates"),
    ],
)
async def test_an_expert_obeys_the_rules_of_the_file(tmp_path, expert, words):
    with pytest.raises(ConfigurationError, match=words):
        await run(expert, "Hi", provider=model(), workspace=tmp_path)


async def test_names_that_are_taken_are_refused(tmp_path):
    twins = Expert("lead", "Ask.", delegates=[Expert("a", "One."), Expert("a", "Other.")])
    with pytest.raises(UsageError, match="Two Experts are called"):
        await run(twins, "Hi", provider=model(), workspace=tmp_path)
    doubled = Expert("x", "Hi.", tools=[add, FunctionTool(add)])
    with pytest.raises(UsageError, match="two tools called"):
        await run(doubled, "Hi", provider=model(), workspace=tmp_path)
    file = tmp_path / "perstack.toml"
    file.write_text('[experts.greeter]\ninstruction = "Other."\n')
    with pytest.raises(UsageError, match="in the file too"):
        await run(GREETER, "Hi", config=load_config(file), provider=model(), workspace=tmp_path)


async def test_a_key_that_names_nothing_is_unknown(tmp_path):
    with pytest.raises(UnknownExpert, match="tic-tac-toe"):
        await run("tic-tac-to", "Hi", provider=model(), workspace=tmp_path)


async def test_a_job_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NoSuchJob, match="nothing-here"):
        await run(GREETER, "Hi", provider=model(), workspace=tmp_path, continue_job="nothing-here")


def test_a_program_without_a_loop_waits_for_the_result(tmp_path):
    result = run_sync(GREETER, "Hi", provider=model(say("Hello.")), workspace=tmp_path)
    assert result.text == "Hello."


async def test_inside_a_loop_the_waiting_one_says_what_to_use(tmp_path):
    with pytest.raises(UsageError, match="await run"):
        run_sync(GREETER, "Hi", provider=model(), workspace=tmp_path)


def test_env_files_are_read_where_they_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_PROCESS", "process")
    file = tmp_path / ".env"
    file.write_text("FROM_FILE=file\nFROM_PROCESS=file\n")
    found = load_env(file)
    assert (found["FROM_FILE"], found["FROM_PROCESS"]) == ("file", "process")
    with pytest.raises(ConfigurationError, match="missing"):
        load_env(tmp_path / "missing.env")


def test_every_public_name_is_there():
    for name in perstack.__all__:
        assert getattr(perstack, name) is not None
    with pytest.raises(AttributeError):
        _ = perstack.nothing  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_skill_may_be_given_as_an_object(tmp_path):
    from perstack.schema.skill import InteractiveSkill, InteractiveTool, McpStdioSkill

    base = McpStdioSkill(command="npx", package_name="@perstack/base", pick=("readTextFile",))
    asks = InteractiveSkill(
        tools={"askUser": InteractiveTool(input_json_schema='{"type":"object"}')}
    )
    expert = Expert("x", "Hi.", skills={"@perstack/base": base, "person": asks})
    asked = model(say("Hello."))
    await run(expert, "Hi", provider=asked, workspace=tmp_path)
    assert [tool.name for tool in asked.requests[0].tools] == ["readTextFile", "askUser"]


async def test_a_questions_schema_may_be_an_object(tmp_path):
    schema = {"type": "object", "properties": {"what": {"type": "string"}}}
    tools = {"askUser": {"inputJsonSchema": schema}}
    expert = Expert("x", "Hi.", skills={"p": {"type": "interactiveSkill", "tools": tools}})
    asked = model(say("Hello."))
    await run(expert, "Hi", provider=asked, workspace=tmp_path)
    offered = next(tool for tool in asked.requests[0].tools if tool.name == "askUser")
    assert offered.input_schema == schema


@pytest.mark.parametrize("names", [["readTextFile", "exec"], []])
async def test_base_tools_are_those_that_are_named(tmp_path, names):
    expert = Expert("x", "Hi.", base_tools=names)
    asked = model(say("Hello."))
    await run(expert, "Hi", provider=asked, workspace=tmp_path)
    assert {tool.name for tool in asked.requests[0].tools} == set(names)


async def test_a_base_tool_that_is_none_is_named(tmp_path):
    with pytest.raises(UsageError, match="readTextFile"):
        await run(
            Expert("x", "Hi.", base_tools=["readTextfile"]),
            "Hi",
            provider=model(),
            workspace=tmp_path,
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tools": add}, "tools takes a list"),
        ({"tools": ["add"]}, "A tool is a function"),
        ({"provider": object()}, "provider takes a name"),
        ({"query": ["Hi"]}, "query must be a text"),
    ],
)
async def test_a_value_of_another_kind_is_named(tmp_path, options, words):
    given = {"query": "Hi", "provider": model(), "workspace": tmp_path} | options
    query = given.pop("query")
    with pytest.raises(UsageError, match=words):
        await run(GREETER, query, **given)


async def test_a_store_within_reach_of_the_tools_is_refused(tmp_path):
    store = FilesStore(str(tmp_path / "kept"))
    with pytest.raises(ConfigurationError, match="tools could reach it"):
        await run(GREETER, "Hi", provider=model(), workspace=tmp_path, store=store)
    store = FilesStore(tmp_path / "perstack")
    result = await run(
        GREETER, "Hi", provider=model(say("Hello.")), workspace=tmp_path, store=store
    )
    assert result.status == "completed"


async def test_a_result_and_an_event_are_short_to_look_at(tmp_path):
    result = await run(GREETER, "Hi", provider=model(say("Hello.")), workspace=tmp_path)
    assert len(repr(result)) < 600
    assert all(len(repr(event)) < 200 for event in result.events)
    assert len({event.id for event in result.events}) == len(result.events)


async def test_the_end_of_a_runtime_interrupts_its_jobs_and_waits_for_them(tmp_path):
    begun = anyio.Event()

    async def wait() -> str:
        begun.set()
        await anyio.sleep_forever()
        return "never"

    expert = Expert("waiter", "Wait.", tools=[wait])
    results = []
    runtime = Runtime(provider=model(call("wait")), workspace=tmp_path)
    async with anyio.create_task_group() as tasks:

        async def job() -> None:
            results.append(await runtime.run(expert, "Go"))

        tasks.start_soon(job)
        await begun.wait()
        await runtime.aclose()
        assert [event.type for event in next(iter(results)).events][-1] == "stopRunByError"
    assert [result.status for result in results] == ["interrupted"]
    with pytest.raises(UsageError, match="closed"):
        await runtime.run(expert, "Go")


async def test_an_answer_too_large_for_a_log_is_told_to_the_model(tmp_path, monkeypatch):
    from perstack.runtime import recorder

    monkeypatch.setattr(recorder, "MAX_EVENT_BYTES", 20_000)

    async def much() -> str:
        return "x" * 30_000

    asked = model(call("much"), say("Too much."))
    result = await run(
        Expert("reader", "Read.", tools=[much]), "Go", provider=asked, workspace=tmp_path
    )
    assert result.text == "Too much."
    assert "at most 20000 are kept" in str(asked.requests[1].messages[-1])
