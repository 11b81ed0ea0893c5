"""Ask a storekeeper what is in stock, and order what is missing.

    python storekeeper.py "Are there enough M4 bolts for 30 shelves, at 8 each?"
    python storekeeper.py --continue JOB "And for 50?"

Progress goes to standard error, the answer to standard output.
"""

from __future__ import annotations

import argparse
import sys

from perstack import Event, Expert, FunctionTool, PerstackError, run_sync
from perstack.schema.event import RunStarted, ToolCallCompleted, ToolsCalled

STOCK = {"M4 bolt": 200, "shelf board": 64}


def count(item: str) -> int:
    """How many of an item are in stock.

    Args:
        item: its name, such as "M4 bolt"
    """
    if item not in STOCK:
        raise LookupError(f"{item!r} is none of {', '.join(STOCK)}")  # the model reads this
    return STOCK[item]


def order(item: str, amount: int) -> str:
    """Order an amount of an item from the supplier."""
    return f"Ordered {amount} of {item!r}."


STOREKEEPER = Expert(
    "storekeeper",
    "You keep a store. Count before you answer. Order what is missing, and say what you ordered.",
    tools=[FunctionTool(count, effect="none"), order],
    # No files and no commands for a storekeeper.
    base_tools=["attemptCompletion"],
)


def tell(event: Event) -> None:
    """What is going on, a line for each call and its answer."""
    match event.detail:
        case RunStarted(job_id=job):
            print(f"job {job}", file=sys.stderr)
        case ToolsCalled(tool_calls=calls):
            for call in calls:
                print(f"  {call.tool_name} {call.args}", file=sys.stderr)
        case ToolCallCompleted(tool_result=result):
            print(f"  -> {result.text}", file=sys.stderr)


def main() -> int:
    """Ask, and say how it ended."""
    parser = argparse.ArgumentParser(description="Ask a storekeeper.")
    parser.add_argument("query", nargs="?", help="left out, an interrupted job is carried on")
    parser.add_argument("--continue", dest="job", metavar="JOB", help="go on with this job")
    given = parser.parse_args()
    try:
        result = run_sync(STOREKEEPER, given.query, continue_job=given.job, listener=tell)
    except PerstackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. Carry the job on with --continue and its name.", file=sys.stderr)
        return 130
    if result.status != "completed":
        print(f"{result.status}: {result.error.message if result.error else ''}", file=sys.stderr)
        return 1
    print(result.text)
    print(f"{result.steps} steps, {result.usage.total_tokens} tokens", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
