"""The files that `perstack init` writes, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.config.starting_model import KEY_VARIABLES, MODELS

if TYPE_CHECKING:
    from perstack.config.starting_model import StartingModel

IGNORED = ("perstack/", ".env", ".env.local")
"""What a repository must not hold: what runs keep, and keys."""

_CONFIG = '''\
# The Experts of this project: micro-agents with one job each.
#
#   perstack start {name} "What is in this folder?"
#   perstack check
#   perstack skills {name}
#   perstack doctor
#
# The first works with an Expert in the terminal, the second says what is wrong with this file, the
# third which tools an Expert is offered, and the last what is in the way of a run.
#
# The key of the model's provider comes from the environment or from .env, never from this file.

{model}
# An Expert goes by its name, on the command line and among other Experts.
[experts."{name}"]
version = "0.1.0"

# What a caller sees of it, be it a person or an Expert: what it does, and what it must be told.
description = "Answers questions about the files of this folder, and writes what it is asked for."

# What it sees itself, before each query. Say what its job is, what counts as done, and what it
# must never do; how it gets there is best left to it.
instruction = """
You work in one folder, your workspace. People ask you what is in it, or to write something there.

- Look before you answer: list the folder, and read the files that matter.
- Name the file that a statement rests on. Where the files do not tell, say so; never guess.
- Change files only where the request asks for it, and say which ones you changed.
- End with the answer itself, short and in plain words.
"""

# Experts that it may ask, as it calls a tool. They see what it tells them, and nothing else.
# delegates = ["proofreader"]

# Every Expert has the base tools. This table narrows them to reading and writing files in the
# workspace; without it there are more, among them `exec`, which runs commands.
[experts."{name}".skills."@perstack/base"]
type = "mcpStdioSkill"
command = "npx"
packageName = "@perstack/base"
pick = [
    "attemptCompletion",
    "todo",
    "clearTodo",
    "listDirectory",
    "getFileInfo",
    "readTextFile",
    "writeTextFile",
    "editTextFile",
]

# Further tools come from MCP servers, which are fetched and started for a run. Take the "# " away
# from these lines, and look at what came of it with `perstack skills {name}`.
# [experts."{name}".skills."time"]
# type = "mcpStdioSkill"
# command = "uvx"
# packageName = "mcp-server-time"

# When an instruction has two jobs, give one of them to a second Expert.
# [experts."proofreader"]
# description = "Finds mistakes in a text. Needs the text, or the path of its file."
# instruction = "Find mistakes of spelling and grammar. List them, each with its line."
'''

_MODEL = """\
# {variable} was set when this file was written. `--provider` and `--model` win over these lines.
model = "{model}"

[provider]
providerName = "{provider}"
"""

_NO_MODEL = """\
# No key was set when this file was written. As it stands the provider is anthropic, whose key is
# ANTHROPIC_API_KEY. For another one, take the "# " away and put in what you have.
# model = "{model}"
# [provider]
# providerName = "openai"
"""

_VARIABLES = """\
# Copy this file to .env and fill it in there. What is exported wins over .env, and .env over
# .env.local. No file with a key belongs in a repository.

{keys}
# A skill gets the variables that its `requiredEnv` names, and no others of these.
"""

_IGNORE = """\
# What runs keep in their workspace: jobs, with all that was said
{0}

# Keys
{1}
{2}
"""

GUIDE = """\
# How this project works

For people and coding agents. It defines Experts, micro-agents with one job each, and runs them
with Perstack.

| | |
|---|---|
| `perstack.toml` | the Experts, and the model they use |
| `perstack.lock` | if there is one: the tools that skills offer, as `perstack install` found them |
| `.env` | keys. Never committed, and never repeated in another file; `.env.example` names them |
| `perstack/` | the jobs of past runs. Not edited, not committed |

## Run an Expert

```sh
perstack run EXPERT "QUERY"
perstack run EXPERT --continue "FURTHER QUERY"
perstack start EXPERT "QUERY"
```

The last one is for a person at a terminal; the others are for anybody. EXPERT is a name in
`perstack.toml`. Standard output has an event a line, as JSON; words for people are on standard
error. The exit code is 0 when the Expert completed or waits for an answer. It works in the current
folder, or in the one that `--workspace` names.

## Change an Expert

- `instruction` is its job: what it is for, what counts as done, what it must never do. Keep it
  short, and write rules rather than steps.
- `description` is all that callers know of it: what it does, and what it must be told.
- Two jobs are two Experts. One that needs the other names it in `delegates`.
- Give it the tools that its job needs, and no more: `pick` and `omit` narrow a skill.
- After each change: `perstack check` says what is wrong with the file, and `perstack skills EXPERT`
  starts its skills; then run it with a real query. Where there is a `perstack.lock`,
  `perstack install` brings it up to date.
- `perstack doctor` says what is in the way of a run, and what to do about it.
"""


def config_text(name: str, start: StartingModel | None) -> str:
    """`perstack.toml` with the Expert `name`, and with the model that a key was found for."""
    model = (
        _NO_MODEL.format(model=MODELS["openai"])
        if start is None
        else _MODEL.format(**start._asdict())
    )
    return _CONFIG.format(name=name, model=model)


def variables_text(start: StartingModel | None) -> str:
    """`.env.example`: one key to fill in, and the others as comments.

    An empty value in a file would hide the one of the next file.
    """
    chosen = start.variable if start is not None else next(iter(KEY_VARIABLES.values()))
    others = [f"# {name}=\n" for name in KEY_VARIABLES.values() if name != chosen]
    return _VARIABLES.format(keys="".join([f"{chosen}=\n", *others]))


def ignore_text() -> str:
    """`.gitignore`."""
    return _IGNORE.format(*IGNORED)
