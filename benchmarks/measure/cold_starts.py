"""Row 9: from nothing to one whole reply, with each provider."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field

from .bench import Bench
from .figures import Figure
from .processes import environment, perstack_command, spent
from .worlds import ONE_REPLY, READER, model_server, workspace

KEY = "sk-benchmark-no-real-key"


@dataclass(frozen=True)
class Provider:
    """One provider as a command line and a configuration name it.

    `address` is the variable that holds the server's address, with `path` after it;
    `needs` are modules without which it is left out.
    """

    name: str
    model: str
    address: str
    path: str = ""
    label: str = ""
    setting: str = ""
    variables: dict[str, str] = field(default_factory=dict[str, str])
    needs: tuple[str, ...] = ()


PROVIDERS = (
    Provider("anthropic", "claude-sonnet-4-5", "ANTHROPIC_BASE_URL"),
    Provider(
        "openai",
        "gpt-5",
        "OPENAI_BASE_URL",
        "/v1",
        "openai (Responses)",
        'api = "responses"',
        {"OPENAI_API_KEY": KEY},
    ),
    Provider(
        "openai",
        "gpt-5",
        "OPENAI_BASE_URL",
        "/v1",
        "openai (Chat Completions)",
        'api = "chat"',
        {"OPENAI_API_KEY": KEY},
    ),
    Provider("azure-openai", "gpt-5", "AZURE_BASE_URL", variables={"AZURE_API_KEY": KEY}),
    Provider("deepseek", "deepseek-chat", "DEEPSEEK_BASE_URL", variables={"DEEPSEEK_API_KEY": KEY}),
    Provider("ollama", "llama3.2", "OLLAMA_BASE_URL"),
    Provider(
        "google",
        "gemini-2.5-flash",
        "GOOGLE_GENERATIVE_AI_BASE_URL",
        variables={"GOOGLE_GENERATIVE_AI_API_KEY": KEY},
        needs=("pydantic_ai", "google.genai"),
    ),
    Provider(
        "amazon-bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        setting='region = "us-east-1"',
        variables={"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s" * 40},
        needs=("pydantic_ai", "boto3"),
    ),
)


def cold_starts(bench: Bench) -> list[Figure]:
    """CPU and memory of a process that starts, asks once and ends."""
    figures: list[Figure] = []
    with model_server(bench.scratch, ONE_REPLY) as (url, _):
        for provider in PROVIDERS:
            if missing := [name for name in provider.needs if not _is_installed(name)]:
                bench.notes.append(f"Row 9: {provider.name} needs {', '.join(missing)}.")
                continue
            figures += _of(provider, bench, url)
    return figures


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even what it lies in
        return False


def _of(provider: Provider, bench: Bench, url: str) -> list[Figure]:
    environ = environment(bench.scratch, url) | provider.variables
    environ[provider.address] = url + provider.path
    config = f'[provider]\nproviderName = "{provider.name}"\n[provider.setting]\n'
    config += f"{provider.setting}\n{READER}"
    command = [*perstack_command(), "run", "reader", "Read it.", "--model", provider.model]
    cpu: list[float] = []
    memory: list[float] = []
    for _number in range(bench.long_runs + 1):
        folder = workspace(bench.folder(), config)
        cost = spent(command, folder, environ, folder / "stdout.jsonl")
        cpu.append(cost.cpu)
        memory.append(cost.memory)
    name = f"one reply, from the start: {provider.label or provider.name}"
    return [
        Figure(9, name, "cpu", tuple(cpu[1:])),
        Figure(9, f"{name}: peak memory", "memory", tuple(memory[1:])),
    ]
