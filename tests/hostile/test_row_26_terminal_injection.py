"""Row 26: a command types into the terminal that its runtime was started from."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("terminal_owner.py")


@pytest.mark.hostile
def test_row_26_a_command_has_no_terminal_to_type_into(tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, str(PROGRAM), os.ttyname(terminal), str(tmp_path)],
            stdin=terminal,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
            timeout=20,
        )
        typed, _, _ = select.select([terminal], [], [], 0)
    finally:
        os.close(controller)
        os.close(terminal)

    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout)["output"].strip() == "[]"
    assert not typed, "something was typed into the terminal"
