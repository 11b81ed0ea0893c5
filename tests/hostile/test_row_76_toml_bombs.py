"""Row 76: configuration built to hang, swell or crash whoever reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from perstack.config.dotenv import load_env
from perstack.config.load import load_config, parse_config
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.hostile

MIB = 1024 * 1024

BOMBS: dict[str, tuple[bytes, str]] = {
    "deep arrays": (b"a = " + b"[" * 5000 + b"]" * 5000, "nested deeper"),
    "deep arrays, unclosed": (b"a = " + b"[" * 100_000, "nested deeper|holds more"),
    "deep tables": (b"a = " + b"{a=" * 5000 + b"1" + b"}" * 5000, "nested deeper"),
    "dotted key": (b"a" + b".a" * 20_000 + b" = 1", "more than 16 parts"),
    "dotted header": (b"[" + b"a." * 24_000 + b"b]", "more than 16 parts"),
    "many dotted headers": (b"[a.a.a.a.a.a]\n" * 60_000, "holds more than"),
    "long integer": (b"a = " + b"1" * 100_000, "longer than 512"),
    "integer of underscores": (b"a = " + b"1_" * 100_000 + b"1", "longer than 512"),
    "hexadecimal integer": (b"a = 0x" + b"f" * 100_000, "longer than 512"),
    "long float": (b"a = 1." + b"1" * 100_000, "longer than 512"),
    "many values": (b"a = [" + b"1," * 500_000 + b"]", "holds more than"),
    "half-open strings": (b'"""\\' * (MIB // 4), "not valid TOML"),
    "half-open literals": (b"'''a" * (MIB // 4), "not valid TOML|longer"),
    "escaped quotes": (b'"\\' * (MIB // 2), "not valid TOML"),
    "one line of backslashes": (b"\\" * MIB, "longer than 512"),
    "too large": (b"#" * (MIB + 1), "larger than 1 MiB"),
    "invalid UTF-8": (b'model = "m"\nx = "\xff\xfe"', r"not UTF-8 text \(line 2\)"),
    "UTF-16": ('model = "m"'.encode("utf-16"), "not UTF-8"),
    "NUL": (b'model = "a\0b"', "not valid TOML"),
    "many unknown keys with near names": (
        b"\n".join(b"%s%d = 1" % (b"instructio" * 5, n) for n in range(9000)) + b"\nmodel = 1",
        "problem",
    ),
    "many experts": (
        b"\n".join(b'[experts."a%d"]\ninstructio = 1' % n for n in range(12_000)),
        "problems",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_row_76_a_bomb_is_a_configuration_error_in_under_a_second(
    name: str, tmp_path: Path
) -> None:
    source, expected = BOMBS[name]
    path = tmp_path / "perstack.toml"
    path.write_bytes(source)
    start = time.process_time()
    with pytest.raises(ConfigurationError, match=expected) as caught:
        load_config(path)
    assert time.process_time() - start < 1
    assert str(path) in caught.value.message
    assert len(caught.value.message) < 64_000


def test_row_76_the_heaviest_file_within_the_limits_is_read_in_under_a_second() -> None:
    source = "[a.b.c.d.e.f.g.h.i.j.k.l.m.n.o]\n" + "\n".join(f"k{n}=1" for n in range(49_900))
    start = time.process_time()
    parse_config(source, "perstack.toml")
    assert time.process_time() - start < 1


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def large(path: Path) -> None:
    path.write_bytes(b"#" * (50 * MIB))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def through_a_file(path: Path) -> None:
    path.symlink_to("/etc/passwd/perstack.toml")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (fifo, "is not a regular file"),
        (folder, "is not a regular file"),
        (sparse, "is larger than 1 MiB"),
        (large, "is larger than 1 MiB"),
        (device, "is not a regular file"),
        (loop, "cannot be read"),
        (through_a_file, "cannot be read"),
    ],
)
def test_row_76_what_is_no_small_file_is_refused_at_once(
    make: Callable[[Path], None], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "perstack.toml"
    make(path)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ConfigurationError, match=expected):
            load_config(path)
        with pytest.raises(ConfigurationError, match=expected):
            load_env([path], {})
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 1


def test_row_76_an_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "perstack.toml"
    path.write_text("")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(ConfigurationError, match=r"cannot be read: Permission denied"):
        load_config(path)


@pytest.mark.parametrize("digits", ["0", "640"])
def test_row_76_the_limit_on_numbers_is_ours_and_not_the_interpreters(digits: str) -> None:
    script = (
        "from perstack.config.load import parse_config\n"
        "from perstack.errors import ConfigurationError\n"
        "for count in (100_000, 513):\n"
        "    try:\n"
        "        parse_config('a = ' + '1' * count, 'p')\n"
        "    except ConfigurationError as error:\n"
        "        print(error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONINTMAXSTRDIGITS": digits},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert shown == "p: a number or a bare key is longer than 512 characters\n" * 2


ENV_BOMBS = {
    "half-open quotes": b'A="\\' * 200_000,
    "one open quote": b'A="' + b"x\n" * 500_000,
    "blank lines": b"\n" * 900_000 + b"!",
    "blanks": b" " * 900_000 + b"!",
    "comments": b"#\n" * 500_000 + b"!",
    "hash signs": b"A=" + b" #" * 500_000 + b"\n!",
    "export": b"export " * 140_000,
    "lines": b"A=b\n" * 250_000 + b"!",
    "too large": b"A=1\n" * 300_000,
    "invalid UTF-8": b"A=\xff",
    "NUL": b"A=a\0b",
}


@pytest.mark.parametrize("name", ENV_BOMBS)
def test_row_76_a_bomb_of_variables_is_a_configuration_error_in_time(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    path.write_bytes(ENV_BOMBS[name])
    start = time.process_time()
    with pytest.raises(ConfigurationError, match=r"\.env"):
        load_env([path], {})
    assert time.process_time() - start < 2
