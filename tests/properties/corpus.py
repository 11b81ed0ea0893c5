"""Scripted jobs that between them use everything a run can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from perstack.providers import GenerateRequest, Reply
from perstack.testing import call, fail, say, together
from worlds import World, expert, replies, role


def parallel_tools() -> World:
    def model(request: GenerateRequest) -> Reply:
        if request.tool_choice == "none":
            return say("All done.")
        first = together(
            call("effect", {"name": "a"}),
            call("look", {"name": "b"}),
            call("broken"),
            call("noSuchTool"),
            call("effect", {"name": "c"}),
        )
        steps = (first, call("effect", {"name": "d"}, text="once more"), call("attemptCompletion"))
        return steps[replies(request)]

    return World({"lead": expert("lead")}, model)


def nested_and_parallel_delegation() -> World:
    def model(request: GenerateRequest) -> Reply:
        match role(request), replies(request):
            case "lead", 0:
                return together(
                    call("effect", {"name": "first"}),
                    call("left", {"query": "go left"}),
                    call("right", {"query": "go right"}),
                )
            case "lead", _:
                return say("Both came back.")
            case "left", 0:
                return call("deep", {"query": "go deeper"})
            case "left", _:
                return together(call("attemptCompletion", text="Left is done."))
            case "deep", 0:
                return together(call("effect", {"name": "deep"}), call("look"))
            case "deep", _:
                return say("Deep is done.")
            case _, 0:
                return call("effect", {"name": "right"})
            case _:
                return say("Right is done.")

    return World(
        {
            "lead": expert("lead", delegates=("left", "right")),
            "left": expert("left", delegates=("deep",)),
            "right": expert("right"),
            "deep": expert("deep"),
        },
        model,
    )


def failing_delegates() -> World:
    def model(request: GenerateRequest) -> Reply | object:
        match role(request), replies(request):
            case "lead", 0:
                return together(
                    call("bad", {"query": "try"}),
                    call("gone", {"query": "try"}),
                    call("good", {}),
                    call("good", {"query": "try"}),
                )
            case "lead", 1:
                return call("attemptCompletion")
            case "lead", _:
                return say("Read them all.")
            case "bad", _:
                return fail("invalid_request_error", 400)
            case _:
                return say("Good.")

    return World(
        {
            "lead": expert("lead", delegates=("bad", "gone", "good")),
            "bad": expert("bad"),
            "good": expert("good"),
        },
        model,  # type: ignore[arg-type]
    )


def retries() -> World:
    asked: Counter[tuple[str, int, str]] = Counter()

    def model(request: GenerateRequest) -> object:
        key = (role(request), replies(request), request.tool_choice)
        asked[key] += 1
        if asked[key] == 1:
            return fail("overloaded_error", 529, retryable=True, retry_after=10)
        told = sum(type(message).__name__ == "UserMessage" for message in request.messages) - 1
        if request.tool_choice == "auto" and told <= replies(request):
            return say("")
        if request.tool_choice == "none":
            return say("Came through.")
        if replies(request) == 0:
            return call("effect", {"name": "once"})
        return call("attemptCompletion")

    return World({"lead": expert("lead")}, model)  # type: ignore[arg-type]


def interactive_stops() -> World:
    def model(request: GenerateRequest) -> Reply:
        match replies(request):
            case 0:
                return together(
                    call("askUser", {"question": "Name?"}),
                    call("effect", {"name": "greeting"}),
                    call("askUser", {"question": "Age?"}),
                    call("helper", {"query": "help"}),
                )
            case 1 if role(request) == "lead":
                return together(call("askUser", {"question": "Sure?"}), call("attemptCompletion"))
            case 2:
                return say("Thank you.")
            case _:
                return say("Second run, same job.")

    def by_role(request: GenerateRequest) -> Reply:
        return say("Helped.") if role(request) == "helper" else model(request)

    return World(
        {"lead": expert("lead", delegates=("helper",), asks=True), "helper": expert("helper")},
        by_role,
        said=("Begin.", "Ann", "44", "yes"),
    )


def several_queries() -> World:
    def model(request: GenerateRequest) -> Reply:
        users = sum(type(message).__name__ == "UserMessage" for message in request.messages)
        if request.tool_choice == "none":
            return say(f"Result {users}.")
        if replies(request) < 2 * users - 1:
            return call("effect", {"name": f"query-{users}"})
        return call("attemptCompletion")

    return World({"lead": expert("lead")}, model, said=("One.", "Two.", "Three."))


def step_limit() -> World:
    def model(request: GenerateRequest) -> Reply:
        if role(request) == "lead":
            if replies(request) == 0:
                return together(call("a", {"query": "go"}), call("b", {"query": "go"}))
            return say("Never reached.")
        return call("effect", {"name": f"{role(request)}-{replies(request)}"})

    return World(
        {"lead": expert("lead", delegates=("a", "b")), "a": expert("a"), "b": expert("b")},
        model,
        max_steps=6,
    )


def todos() -> World:
    def model(request: GenerateRequest) -> Reply:
        if request.tool_choice == "none":
            return say("Everything is ticked off.")
        match replies(request):
            case 0:
                return together(
                    call("todo", {"newTodos": ["one", "two"]}),
                    call("todo", {"completedTodos": [0]}),
                    call("todo", {"newTodos": ["three"]}),
                )
            case 1:
                return call("attemptCompletion")
            case 2:
                return together(call("todo", {"completedTodos": [1, 2]}), call("attemptCompletion"))
            case _:
                return call("attemptCompletion")

    return World({"lead": expert("lead")}, model)


CORPUS: dict[str, Callable[[], World]] = {
    world.__name__: world
    for world in (
        parallel_tools,
        nested_and_parallel_delegation,
        failing_delegates,
        retries,
        interactive_stops,
        several_queries,
        step_limit,
        todos,
    )
}
