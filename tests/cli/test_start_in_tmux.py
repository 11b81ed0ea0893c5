"""`perstack start` as a person has it: in a terminal, from the first key to the shell again."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from cli.process import PERSTACK, QUIET, perstack
from cli.server import serving

TMUX = shutil.which("tmux")
EXPERT = '[experts.helper]\ndescription = "Helps."\ninstruction = "Help."\n'
TWO_ANSWERS = {"replies": [{"text": "First answer."}, {"text": "Second answer."}]}

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed"),
]


class Tmux:
    """One shell in a terminal of 80 by 24, on a tmux server of its own."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = QUIET | env | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PS1": "$ "}

    def open(self) -> None:
        """The shell ends by itself, should nobody be left to close it."""
        shell = ("timeout", "--foreground", "120", "/bin/sh")
        self._do("-f/dev/null", "new-session", "-d", "-x80", "-y24", *shell)

    def close(self) -> None:
        while self._tell("kill-server").returncode == 0:
            time.sleep(0.05)

    def type(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    def seen(self) -> str:
        return self._do("capture-pane", "-p", "-J")

    def until(self, text: str) -> str:
        """The screen, once `text` is on it; the test's time limit ends a wait in vain."""
        while text not in (shown := self.seen()):
            time.sleep(0.05)  # tmux tells nobody when a screen changes
        return shown

    def _do(self, *words: str) -> str:
        told = self._tell(*words)
        assert told.returncode == 0, told.stderr
        return told.stdout

    def _tell(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(TMUX), "-S", "tmux.socket", *words],
            env=self._env,
            cwd=self._folder,  # a socket's whole path may be too long
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "perstack.toml").write_text(EXPERT)
    return tmp_path


@pytest.fixture
def tmux(folder: Path) -> Generator[Tmux]:
    with serving(TWO_ANSWERS, folder) as env:
        tmux = Tmux(folder, env)
        try:
            tmux.open()
            yield tmux
        finally:
            tmux.close()


def test_from_the_start_to_a_second_query_and_back_to_the_shell(tmux: Tmux, folder: Path) -> None:
    tmux.type(f"echo before; {shlex.quote(str(PERSTACK))} start; echo code=$?", "Enter")
    tmux.until("Which Expert, or which job?")
    tmux.type("Enter")
    tmux.until("what to do")
    tmux.type("Do one", "Enter")
    tmux.until("First answer.")
    tmux.until("● ready  helper")
    tmux.type("Do two", "Enter")
    shown = tmux.until("Second answer.")
    assert "First answer." in shown
    assert "> Do two" in shown
    tmux.until("step 2")
    tmux.until("● ready  helper")
    tmux.type("C-q")

    shown = tmux.until("code=0")
    assert "before" in shown
    assert "perstack start helper --continue" in shown
    assert "Second answer." not in shown, "the screen is the shell's again"
    log = perstack("log", "--json", "--take", "0", cwd=folder).stdout
    assert log.count('"completeRun"') == 2
    tmux.type("echo still here | tr a-z A-Z", "Enter")
    tmux.until("STILL HERE")
