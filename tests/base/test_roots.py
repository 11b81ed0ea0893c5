"""Workspaces of one directory share its descriptor."""

from __future__ import annotations

import os
from pathlib import Path

from perstack.base.paths import Workspace


def descriptors_of(folder: Path) -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += entry.readlink() == folder
        except FileNotFoundError:  # the one that lists them
            continue
    return found


def seen(workspace: Workspace, path: str) -> str:
    with workspace.entry(path) as entry:
        fd = os.open(entry.name, os.O_RDONLY, dir_fd=entry.fd)
    with os.fdopen(fd) as file:
        return file.read()


def test_many_workspaces_of_one_folder_hold_one_descriptor_until_the_last_is_closed(tmp_path):
    (tmp_path / "a.txt").write_text("here")
    (tmp_path.parent / "link").symlink_to(tmp_path)
    workspaces = [Workspace(tmp_path) for _ in range(20)]
    workspaces.append(Workspace(tmp_path.parent / "link"))
    assert descriptors_of(tmp_path) == 1
    last = workspaces.pop()
    for workspace in workspaces:
        workspace.close()
    assert seen(last, "a.txt") == "here"
    last.close()
    assert descriptors_of(tmp_path) == 0


def test_a_folder_that_was_replaced_is_another_one(tmp_path):
    root = tmp_path / "w"
    root.mkdir()
    (root / "a.txt").write_text("old")
    before = Workspace(root)
    root.rename(tmp_path / "away")
    root.mkdir()
    (root / "a.txt").write_text("new")
    after = Workspace(root)
    try:
        assert seen(before, "a.txt") == "old"
        assert seen(after, "a.txt") == "new"
    finally:
        before.close()
        after.close()
