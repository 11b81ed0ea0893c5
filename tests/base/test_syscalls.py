from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from perstack.base.syscalls import has_open_beneath, open_beneath, rename_new

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    if not has_open_beneath():
        pytest.skip("this kernel has no openat2")
    (tmp_path / "in/sub").mkdir(parents=True)
    fd = os.open(tmp_path / "in", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_path_beneath_the_root_is_opened(root: int, tmp_path: Path):
    fd = open_beneath(root, "sub/../sub", os.O_RDONLY)
    assert os.fstat(fd).st_ino == (tmp_path / "in/sub").stat().st_ino
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize("path", ["..", "sub/../..", "/", "up", "absolute"])
def test_the_kernel_refuses_every_way_out(root: int, tmp_path: Path, path: str):
    (tmp_path / "in/up").symlink_to("..")
    (tmp_path / "in/absolute").symlink_to("/")
    with pytest.raises(OSError, match="Invalid cross-device link") as caught:
        open_beneath(root, path, os.O_RDONLY)
    assert caught.value.errno == errno.EXDEV


def test_a_rename_never_replaces(tmp_path: Path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match=r"File exists|not implemented"):
            rename_new(fd, "a", fd, "b")
        assert (tmp_path / "b").read_text() == "b"
    finally:
        os.close(fd)
