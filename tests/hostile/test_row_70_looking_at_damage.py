"""Row 70: whatever became of a log, looking at it ends with what is good and an exit code."""

from __future__ import annotations

import json
import random  # noqa: TID251 - seeded, for the same accidents
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from assembly.past import written
from cli.process import QUIET
from views.played import play_all
from worlds import JOB

pytestmark = pytest.mark.hostile

ROUNDS = 12
FORMS = [
    ["log"],
    ["log", "--json"],
    ["log", "--json", "--take", "0"],
    ["log", "--verbose", "--take", "0"],
    ["log", "--json", "--offset", "3", "--take", "4"],
    ["log", "--errors", "--context", "2"],
    ["log", "--filter", ".toolResults[].isError == true"],
    ["log", "--delegations"],
    ["log", "--summary"],
    ["log", "--messages"],
    ["jobs"],
]
PROGRAM = """
import json, os, sys
from perstack.cli import run_command
for folder in sys.argv[2:]:
    os.chdir(folder)
    for words in json.loads(sys.argv[1]):
        code = run_command(words)
        sys.stdout.flush()
        sys.stderr.write(f"\\nCODE {code} {' '.join(words)}\\n")
"""


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The same log, after an accident."""
    lines = content.split(b"\n")
    at, line = rng.randrange(len(content)), rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
        case 1:
            return content[:at] + content[at + rng.randrange(200) :]
        case 2:
            return content[:at] + b"\n" + content[at:]
        case 3:
            return b"\n".join([*lines[:line], *lines[line + 1 :]])
        case 4:
            return b"\n".join([*lines[:line], rng.choice(lines), *lines[line:]])
        case _:
            return content[:at]


@pytest.mark.parametrize("seed", range(3))
def test_row_70_a_log_after_an_accident_can_be_looked_at(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    played = anyio.run(play_all)
    folders: list[str] = []
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        log = written(played[rng.choice([*played])], folder / "perstack")
        record = {"id": JOB, "coordinatorExpertKey": "lead", "startedAt": 1}
        (folder / "perstack/jobs" / JOB / "job.json").write_text(json.dumps(record))
        for reader in log.runs.values():
            reader.path.write_bytes(damaged(reader.path.read_bytes(), rng))
        folders.append(str(folder))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(FORMS), *folders],
        env=QUIET,
        capture_output=True,
        check=False,
        timeout=50,
    )
    said = ended.stderr.decode()
    assert ended.returncode == 0, said
    codes = [line.split(" ", 2)[1:] for line in said.splitlines() if line.startswith("CODE ")]
    assert len(codes) == ROUNDS * len(FORMS)
    for code, words in codes:  # of what was cut off before its first event, there is no summary
        assert code in ("0", "1") or words in ("log --summary", "log --messages"), words
