"""perstack.toml: found, checked as a whole, and turned into data."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perstack.config.expert_table import EXPERT_FIELDS
from perstack.config.load import find_config, load_config, parse_config
from perstack.config.project_table import PROJECT_FIELDS
from perstack.config.provider_table import PROVIDER_SETTINGS
from perstack.config.skill_table import SKILL_FIELDS
from perstack.errors import ConfigurationError
from perstack.schema.skill import InteractiveSkill, InteractiveTool, McpSseSkill, McpStdioSkill

if TYPE_CHECKING:
    from pathlib import Path

QUOTED = '"abc-1"'
EXPERT = '[experts."a"]\ninstruction = "Do it."\n'


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, "perstack.toml")
    return caught.value.problems


def expert(lines: str) -> str:
    return EXPERT + lines


def skill(lines: str, kind: str = "mcpStdioSkill") -> str:
    return EXPERT + f'[experts."a".skills.s]\ntype = "{kind}"\n{lines}\n'


def remote(lines: str) -> str:
    endpoint = "" if "endpoint" in lines else 'endpoint = "https://mcp.example.com/mcp"\n'
    return skill(endpoint + lines, "mcpSseSkill")


def test_the_nearest_file_upward_is_found(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_config(below) == tmp_path / "perstack.toml"
    (tmp_path / "a" / "perstack.toml").touch()
    assert find_config(below) == tmp_path / "a" / "perstack.toml"


def test_a_broken_link_of_the_name_is_found_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").touch()
    below = tmp_path / "a"
    below.mkdir()
    (below / "perstack.toml").symlink_to("nowhere")
    found = find_config(below)
    assert found == below / "perstack.toml"
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(below / "perstack.toml")


def test_no_file_anywhere_is_none(tmp_path: Path) -> None:
    assert find_config(tmp_path) is None


def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml does not exist\. Name a file with"):
        load_config(tmp_path / "none.toml")


def test_a_whole_file_becomes_a_project(tmp_path: Path) -> None:
    path = tmp_path / "perstack.toml"
    path.write_text(
        """
model = "m"
reasoningBudget = 4096
runtime = "local"
maxSteps = 7
maxRetries = 0
timeout = 1000
envPath = ["x.env"]
perstackApiBaseUrl = "http://127.0.0.1:9"
perstackBaseSkillCommand = ["base", "serve"]
provider = { providerName = "openai", setting = { organization = "o", headers = { x-a = "1" } } }

[experts."@acme/writer"]
version = "1.2.3-beta.1"
minRuntimeVersion = "v1.0"
description = "Writes."
instruction = "Write."
delegates = ["reader@2.0.0"]
tags = ["prose"]

[experts."@acme/writer".skills.web]
type = "mcpStdioSkill"
command = "npx"
packageName = "@acme/search@1.0.0"
requiredEnv = ["SEARCH_KEY"]
allowedDomains = ["*.example.com"]
lazyInit = true
pick = ["find"]
omit = ["lose"]
description = "d"
rule = "r"

[experts."@acme/writer".skills.remote]
type = "mcpSseSkill"
endpoint = "https://mcp.example.com/sse"
bearerTokenEnv = "REMOTE_TOKEN"
headersEnv = { X-Tenant = "TENANT" }
trusted = true

[experts."@acme/writer".skills.here]
type = "mcpSseSkill"
endpoint = "http://127.0.0.1:80/mcp"
allowLoopback = true

[experts."@acme/writer".skills.ask]
type = "interactiveSkill"
[experts."@acme/writer".skills.ask.tools.question]
inputJsonSchema = '{"type": "object"}'
"""
    )
    project = load_config(path)
    assert project.origin == str(path)
    assert project.warnings == ()
    assert (project.model, project.reasoning_budget, project.max_steps) == ("m", 4096, 7)
    assert (project.max_retries, project.timeout, project.env_path) == (0, 1000, ("x.env",))
    assert project.perstack_api_base_url == "http://127.0.0.1:9"
    assert project.perstack_base_skill_command == ("base", "serve")
    assert project.provider is not None
    assert project.provider.provider_name == "openai"
    assert project.provider.organization == "o"
    assert project.provider.headers == {"x-a": "1"}
    writer = project.experts["@acme/writer"]
    assert (writer.key, writer.name, writer.version) == (
        "@acme/writer",
        "@acme/writer",
        "1.2.3-beta.1",
    )
    assert (writer.delegates, writer.tags) == (("reader@2.0.0",), ("prose",))
    assert writer.skills == {
        "web": McpStdioSkill(
            command="npx",
            package_name="@acme/search@1.0.0",
            required_env=("SEARCH_KEY",),
            allowed_domains=("*.example.com",),
            lazy_init=True,
            pick=("find",),
            omit=("lose",),
            description="d",
            rule="r",
        ),
        "remote": McpSseSkill(
            endpoint="https://mcp.example.com/sse",
            bearer_token_env="REMOTE_TOKEN",
            headers_env={"X-Tenant": "TENANT"},
            trusted=True,
        ),
        "here": McpSseSkill(endpoint="http://127.0.0.1:80/mcp", allow_loopback=True),
        "ask": InteractiveSkill(
            tools={"question": InteractiveTool(input_json_schema='{"type": "object"}')}
        ),
    }


def test_what_the_file_does_not_say_is_none() -> None:
    project = parse_config("", "here")
    assert project.origin == "here"
    assert project.experts == {}
    given_keys = msgspec.to_builtins(project)
    assert given_keys == {"origin": "here"}


def test_a_byte_order_mark_and_windows_lines_are_read() -> None:
    project = parse_config(b'\xef\xbb\xbfmodel = "m"\r\nmaxSteps = 2\r\n', "here")
    assert (project.model, project.max_steps) == ("m", 2)


def test_toml_trouble_names_file_line_and_column() -> None:
    with pytest.raises(
        ConfigurationError, match=r"p\.toml is not valid TOML: .*line 2, column \d+"
    ):
        parse_config('a = 1\nmodel = "\\q"', "p.toml")


def test_all_problems_are_reported_together_each_with_its_path() -> None:
    text = """
maxSteps = "many"
timeout = true
[provider]
providerName = "antropic"
[experts."a"]
instrution = "typo"
[experts."a".skills.web]
type = "mcpStdioSkill"
packageName = "x"
[experts."a".skills."b c"]
type = "mcpStdio"
"""
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, "p.toml")
    error = caught.value
    assert str(error.args[0]) == "p.toml has 7 problems:"
    assert error.problems == (
        "maxSteps: must be an integer, not a string",
        "timeout: must be an integer, not a boolean",
        (
            'provider.providerName: is "antropic", which is none of anthropic, google, openai, '
            "ollama, azure-openai, amazon-bedrock, google-vertex, deepseek, pydantic-ai; "
            'did you mean "anthropic"?'
        ),
        'experts."a".skills.web.command: is required',
        (
            "experts.\"a\".skills.\"b c\": is not a skill's name: letters, digits, '-' and '_', "
            "with an optional '@scope/' before it, at most 255 characters"
        ),
        (
            'experts."a".skills."b c".type: is "mcpStdio", which is none of mcpStdioSkill, '
            'mcpSseSkill, interactiveSkill; did you mean "mcpStdioSkill"?'
        ),
        'experts."a".instruction: is required',
        (
            'warning: experts."a".instrution: is not a known key and is ignored; '
            'did you mean "instruction"?'
        ),
    )


@pytest.mark.parametrize(
    ("text", "path", "nearest"),
    [
        ('modle = "m"', "modle", "model"),
        ("maxsteps = 3", "maxsteps", "maxSteps"),
        ("max_steps = 3", "max_steps", "maxSteps"),
        (expert('delegate = ["b"]'), 'experts."a".delegate', "delegates"),
        (skill('command = "x"\nargs = []\npicks = ["t"]'), 'experts."a".skills.s.picks', "pick"),
        (
            '[provider]\nproviderName = "google"\n[provider.setting]\nbaseURL = "https://x.y"',
            "provider.setting.baseURL",
            "baseUrl",
        ),
    ],
)
def test_an_unknown_key_is_a_warning_that_names_the_nearest(
    text: str, path: str, nearest: str
) -> None:
    project = parse_config(text, "p.toml")
    assert project.warnings == (
        f'{path}: is not a known key and is ignored; did you mean "{nearest}"?',
    )
    assert project.unknown_keys == (path,)


def test_a_setting_of_another_provider_is_ignored_with_a_warning() -> None:
    text = '[provider]\nproviderName = "openai"\n[provider.setting]\nregion = "us-east-1"'
    project = parse_config(text, "p.toml")
    assert project.unknown_keys == ("provider.setting.region",)
    assert project.provider is not None
    assert project.provider.region is None


def test_each_provider_takes_all_of_its_own_settings() -> None:
    values = {
        "baseUrl": '"https://llm.example.com/v1"',
        "headers": '{ x-team = "a" }',
        "useDeploymentBasedUrls": "false",
        "api": '"chat"',
    }
    for name, fields in PROVIDER_SETTINGS.items():
        lines = "\n".join(f"{key} = {values.get(key, QUOTED)}" for key in fields)
        text = f'[provider]\nproviderName = "{name}"\n[provider.setting]\n{lines}'
        project = parse_config(text, "p.toml")
        assert project.warnings == ()
        assert project.provider is not None
        assert project.provider.provider_name == name


WRONG = [
    ("model = 3", "model: must be a string, not an integer"),
    ('model = " "', "model: must not be blank"),
    ('model = "a\\nb"', "model: must not hold line breaks"),
    (f'model = "{"m" * 257}"', "model: has 257 characters; at most 256"),
    ('reasoningBudget = "hihg"', 'did you mean "high"?'),
    ("reasoningBudget = -1", "reasoningBudget: must be between 0 and"),
    ("reasoningBudget = true", "reasoningBudget: must be one of none, minimal"),
    ("reasoningBudget = 1.5", "reasoningBudget: must be one of"),
    ('runtime = "locl"', 'did you mean "local"?'),
    ("maxSteps = 0", "maxSteps: must be between 1 and"),
    ("maxSteps = 1e3", "maxSteps: must be an integer, not a float"),
    ("maxSteps = 99999999999999999999", "maxSteps: must be between"),
    ("maxRetries = -1", "maxRetries: must be between 0"),
    ("timeout = 0", "timeout: must be between 1"),
    ("timeout = 07:32:00", "timeout: must be an integer, not a date or time"),
    ('envPath = ".env"', "envPath: must be an array, not a string"),
    ("envPath = [1]", "envPath[0]: must be a string"),
    ('envPath = ["a", ""]', "envPath[1]: must not be blank"),
    ('perstackApiBaseUrl = "http://example.com"', "must be https, or http on a loopback"),
    ("perstackBaseSkillCommand = []", "perstackBaseSkillCommand: must name a program"),
    ('perstackBaseSkillCommand = ["", "x"]', "perstackBaseSkillCommand: must name a program"),
    ('perstackBaseSkillCommand = ["a", "\\u0000"]', "perstackBaseSkillCommand[1]: must not hold"),
    ("provider = 3", "provider: must be a table, not an integer"),
    ("[provider]", "provider.providerName: is required"),
    ('provider = {providerName = "ollama", setting = 1}', "provider.setting: must be a table"),
    (
        'provider = {providerName = "openai", setting = {baseUrl = "http://example.com"}}',
        "provider.setting.baseUrl: must be https, or http on a loopback",
    ),
    (
        'provider = {providerName = "openai", setting = {headers = {"a b" = "c"}}}',
        'provider.setting.headers."a b": is not the name',
    ),
    (
        'provider = {providerName = "openai", setting = {headers = {a = "b\\r\\nc: d"}}}',
        "provider.setting.headers.a: must be plain",
    ),
    (
        'provider = {providerName = "amazon-bedrock", setting = {region = "../x"}}',
        "provider.setting.region: must be a region",
    ),
    (
        'provider = {providerName = "azure-openai", setting = {useDeploymentBasedUrls = 1}}',
        "provider.setting.useDeploymentBasedUrls: must be true or false, not an integer",
    ),
    (
        'provider = {providerName = "azure-openai", setting = {resourceName = "x.evil.com/"}}',
        "provider.setting.resourceName: must be a resource's name",
    ),
    ("experts = []", "experts: must be a table"),
    ('experts.a = "b"', 'experts."a": must be a table'),
    ('[experts."A"]\ninstruction = "x"', 'experts."A": is not an Expert\'s name'),
    ('[experts."a@1.0.0"]\ninstruction = "x"', 'experts."a@1.0.0": must be a name alone; the ver'),
    ('[experts."a@b"]\ninstruction = "x"', "must be a name alone"),
    (f'[experts."{"a" * 256}"]\ninstruction = "x"', "is not an Expert's name"),
    ('[experts."a"]', 'experts."a".instruction: is required'),
    ('[experts."a"]\ninstruction = " \\n "', 'experts."a".instruction: must not be blank'),
    (f'[experts."a"]\ninstruction = "{"x" * 20481}"', "has 20481 characters; at most 20480"),
    (expert(f'description = "{"x" * 2049}"'), "has 2049 characters; at most 2048"),
    (expert('version = "1.0"'), 'experts."a".version: must be a version such as 1.0.0'),
    (expert('version = "01.0.0"'), 'experts."a".version: must be a version'),
    (expert('minRuntimeVersion = "new"'), 'experts."a".minRuntimeVersion: must be a version'),
    (expert('delegates = ["B"]'), "experts.\"a\".delegates[0]: 'B' is not an Expert key"),
    (expert('delegates = ["b", "b"]'), "already taken by the delegate"),
    (expert('delegates = ["@x/b", "@y/b"]'), 'would be called "b"'),
    (expert('delegates = ["@x/exec"]'), "already taken by the base skill"),
    (expert('delegates = ["todo@1.0.0"]'), "already taken by the base skill"),
    (expert('tags = ["A"]'), 'experts."a".tags[0]: must be lower-case'),
    (expert(f"tags = {[f't{n}' for n in range(9)]}"), "has 9 items; at most 8"),
    (expert('providerTools = "x"'), "providerTools: must be an array"),
    (expert("providerSkills = [1]"), "providerSkills[0]: must be a table"),
    (expert("providerToolOptions.x = nan"), "providerToolOptions.x: must be a finite number"),
    (expert("providerToolOptions.x = [1979-05-27]"), "x[0]: must be something JSON can hold"),
    (expert("providerToolOptions.x = 99999999999999999999"), "is too large a number"),
    (expert("skills.s = 1"), 'experts."a".skills.s: must be a table'),
    (expert("[experts.a.skills.s]"), "skills.s.type: is required: one of mcpStdioSkill"),
    (expert("[experts.a.skills.s]\ntype = 1"), "skills.s.type: must be a string"),
    (
        expert('[experts.a.skills."@perstack/delegate"]\ntype = "interactiveSkill"\ntools = {}'),
        "is a reserved",
    ),
    (skill('command = "npx"'), 'experts."a".skills.s: needs packageName or args'),
    (skill('command = "npx"\npackageName = "p"\nargs = ["x"]'), "has both packageName and args"),
    (skill('command = "a\\nb"\nargs = []'), "skills.s.command: must not hold line breaks"),
    (skill('command = "x"\nargs = ["\\u0000"]'), "skills.s.args[0]: must not hold a NUL"),
    (skill('command = "x"\nargs = []\nlazyInit = "yes"'), "lazyInit: must be true or false"),
    (skill('command = "x"\nargs = []\nrequiredEnv = ["A=B"]'), "must be a variable's name"),
    (skill('command = "x"\nargs = []\nrequiredEnv = ["ld_preload"]'), "may not be 'ld_preload'"),
    (skill('command = "x"\nargs = []\nallowedDomains = ["*"]'), "allowedDomains[0]: must be a do"),
    (skill('command = "x"\nargs = []\npick = [""]'), "skills.s.pick[0]: must not be blank"),
    (skill("", "mcpSseSkill"), "skills.s.endpoint: is required"),
    (skill('endpoint = "http://e.com"', "mcpSseSkill"), "skills.s.endpoint: must be https"),
    (remote('endpoint = "https://localhost/"'), "skills.s.endpoint: must be a public address, or"),
    (
        remote('endpoint = "http://e.com"\nallowLoopback = true'),
        "skills.s.endpoint: must be https, or http on a loopback address",
    ),
    (remote("allowLoopback = 1"), "skills.s.allowLoopback: must be true or false"),
    (remote('bearerTokenEnv = "A B"'), "skills.s.bearerTokenEnv: must be a variable's name"),
    (remote('bearerTokenEnv = "PIP_INDEX_URL"'), "bearerTokenEnv: may not be 'PIP_INDEX_URL'"),
    (remote('headersEnv = ["A"]'), "skills.s.headersEnv: must be a table"),
    (remote('headersEnv = { "X-A" = "A B" }'), "must be a variable's name"),
    (remote('headersEnv = { "X A" = "A" }'), "is not the name of an HTTP header"),
    (remote('headersEnv = { "X-A\\r\\nB" = "A" }'), "is not the name of an HTTP header"),
    (remote('headersEnv = { Host = "A" }'), "that this runtime, or what stands on the way, deci"),
    (remote('headersEnv = { content-length = "A" }'), "is a header that this runtime"),
    (remote('headersEnv = { TRANSFER-encoding = "A" }'), "is a header that this runtime"),
    (remote('headersEnv = { Mcp-Session-Id = "A" }'), "is a header that this runtime"),
    (remote('headersEnv = { Proxy-Authorization = "A" }'), "is a header that this runtime"),
    (remote('headersEnv = { X-A = "A", x-a = "B" }'), "headersEnv: has 'X-A' more than once"),
    (
        remote('bearerTokenEnv = "A"\nheadersEnv = { authorization = "B" }'),
        "skills.s: has both bearerTokenEnv and an Authorization header",
    ),
    (skill("", "interactiveSkill"), "skills.s.tools: is required"),
    (skill("tools = 1", "interactiveSkill"), "skills.s.tools: must be a table"),
    (skill("tools.t = {}", "interactiveSkill"), "tools.t.inputJsonSchema: is required"),
    (
        skill("tools.\"a b\" = {inputJsonSchema = '{}'}", "interactiveSkill"),
        'tools."a b": must be 1 to 64 letters',
    ),
    (
        skill('tools.t = {inputJsonSchema = "no"}', "interactiveSkill"),
        "tools.t.inputJsonSchema: must be the JSON text of a schema, and is not JSON",
    ),
    (skill('tools.t = {inputJsonSchema = "[]"}', "interactiveSkill"), "JSON text of an object"),
    (
        skill('tools.t = {inputJsonSchema = \'{"type": "string"}\'}', "interactiveSkill"),
        "must describe an object",
    ),
    (
        skill(f'tools.t = {{inputJsonSchema = "{"[" * 60_000}"}}', "interactiveSkill"),
        "tools.t.inputJsonSchema: must be the JSON text",
    ),
    (
        skill("tools.readTextFile = {inputJsonSchema = '{}'}", "interactiveSkill"),
        "already taken by the base skill",
    ),
    (
        skill("tools.t = {inputJsonSchema = '{}'}", "interactiveSkill")
        + '[experts.a.skills.u]\ntype = "interactiveSkill"\n'
        "tools.t = {inputJsonSchema = '{}'}",
        (
            'experts."a".skills.u.tools.t: its tool would be called "t", which is already taken by '
            'the skill "s"'
        ),
    ),
    (
        expert('delegates = ["t"]') + '\n[experts.a.skills.u]\ntype = "interactiveSkill"\n'
        "tools.t = {inputJsonSchema = '{}'}",
        'already taken by the delegate "t"',
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[wrong[1][:60] for wrong in WRONG])
def test_a_broken_rule_is_one_problem_at_its_path(text: str, expected: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert expected in found[0]


def test_an_expert_may_delegate_to_itself() -> None:
    assert parse_config(expert('delegates = ["a"]'), "p").experts["a"].delegates == ("a",)


def test_a_runtime_of_the_reference_is_read_so_that_an_option_can_override_it() -> None:
    for name in ("docker", "cursor", "claude-code", "gemini"):
        assert parse_config(f'runtime = "{name}"', "p").runtime == name


def test_a_base_url_may_be_plain_http_on_loopback_and_anywhere_for_ollama() -> None:
    for name, url in (("openai", "http://localhost:1/v1"), ("ollama", "http://ollama:11434")):
        text = f'provider = {{providerName = "{name}", setting = {{baseUrl = "{url}"}}}}'
        provider = parse_config(text, "p").provider
        assert provider is not None
        assert provider.base_url == url


def test_a_header_that_looks_like_a_credential_is_warned_about_and_not_repeated() -> None:
    text = (
        'provider = {providerName = "openai", setting = '
        '{headers = {Authorization = "Bearer canary"}}}'
    )
    (warning,) = parse_config(text, "p").warnings
    assert warning.startswith("provider.setting.headers.Authorization: ")
    assert "canary" not in warning


def test_no_message_repeats_a_header_or_a_url() -> None:
    text = (
        'perstackApiBaseUrl = "https://me:canary@example.com"\n'
        'provider = {providerName = "openai", setting = '
        '{baseUrl = "ftp://canary", headers = {X = "canary\\n"}}}\n'
    )
    found = problems(text)
    assert len(found) == 3
    assert "canary" not in "".join(found)


def test_features_of_the_reference_that_are_missing_are_warned_about() -> None:
    text = expert(
        'providerTools = ["webSearch"]\nproviderSkills = [{type = "builtin", skillId = "pdf"}]\n'
        "providerToolOptions = {webSearch = {maxUses = 3}}"
    )
    project = parse_config(text, "p")
    assert [line.partition(":")[0] for line in project.warnings] == [
        'experts."a".providerTools',
        'experts."a".providerSkills',
        'experts."a".providerToolOptions',
    ]
    assert project.unknown_keys == ()
    assert project.experts["a"].provider_tool_options == {"webSearch": {"maxUses": 3}}


def test_a_wrong_name_in_the_base_skills_pick_is_warned_about() -> None:
    text = EXPERT + (
        '[experts."a".skills."@perstack/base"]\ntype = "mcpStdioSkill"\ncommand = "npx"\n'
        'packageName = "@perstack/base"\npick = ["exec", "readTextfile"]'
    )
    (warning,) = parse_config(text, "p").warnings
    assert warning == (
        'experts."a".skills."@perstack/base".pick[1]: is "readTextfile", no tool of the base '
        'skill; did you mean "readTextFile"?'
    )
    assert parse_config(text.replace('/base"\npick', '/base@1.0.0"\npick'), "p").warnings == ()


def test_a_thousand_problems_are_counted_and_a_hundred_listed() -> None:
    text = "\n".join(f'[experts."a{n}"]\nunknown{n} = 1' for n in range(1000))
    found = problems(text)
    assert len(found) == 201
    assert found[-1] == "and 1800 more"


def test_control_characters_in_keys_do_not_reach_a_message() -> None:
    project = parse_config('"\\u001b[31m\\n\\u202e" = 1', "p")
    assert project.warnings[0].isprintable()


names = st.sampled_from(
    sorted({*PROJECT_FIELDS, *EXPERT_FIELDS, *(key for f in SKILL_FIELDS.values() for key in f)})
)
scalars = st.one_of(
    st.text(max_size=5),
    st.integers(),
    st.booleans(),
    st.floats(),
    st.sampled_from(list(SKILL_FIELDS)),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
        case float():
            return repr(value)
        case _:
            return str(value)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(names, values, max_size=4), st.dictionaries(names, values, max_size=6))
def test_anything_is_either_a_project_or_a_configuration_error(
    top: dict[str, object], body: dict[str, object]
) -> None:
    top["experts"] = {"a": body}
    text = "\n".join(f"{key} = {toml(value)}" for key, value in top.items())
    with contextlib.suppress(ConfigurationError):
        assert parse_config(text, "p").experts["a"].instruction


def test_a_file_of_thirty_experts_is_parsed_in_milliseconds() -> None:
    one = """
[experts."expert-{n}"]
version = "1.0.0"
description = "Does one thing."
instruction = \"\"\"
{text}
\"\"\"
delegates = ["expert-{n}"]
[experts."expert-{n}".skills.web]
type = "mcpStdioSkill"
command = "npx"
packageName = "exa-mcp-server"
requiredEnv = ["EXA_API_KEY"]
[experts."expert-{n}".skills.ask]
type = "interactiveSkill"
[experts."expert-{n}".skills.ask.tools.question]
inputJsonSchema = '{{"type": "object"}}'
"""
    text = "".join(one.format(n=n, text="Do this, then that.\n" * 50) for n in range(30))
    parse_config(text, "p")

    def seconds() -> float:
        start = time.process_time()
        assert len(parse_config(text, "p").experts) == 30
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.060  # some 10 ms; a loaded machine takes longer


@pytest.mark.parametrize("name", ["exaApiKey", "api_key", "access_token"])
def test_a_key_in_an_endpoint_is_warned_about(name: str) -> None:
    project = parse_config(remote(f'endpoint = "https://mcp.example.com/mcp?{name}=x"'), "here")
    assert "endpoint: has what looks like a key in its query" in project.warnings[0]
    assert project.warnings[1:] == ()
    assert parse_config(remote('endpoint = "https://e.com/mcp?tenant=a"'), "here").warnings == ()


def test_an_unknown_key_of_a_remote_skill_is_told_with_the_nearest() -> None:
    project = parse_config(remote('bearerTokenENV = "A"'), "here")
    assert 'did you mean "bearerTokenEnv"?' in project.warnings[0]
