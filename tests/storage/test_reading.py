"""A log for whoever only looks: from either end, and past what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile.test_storage_damage import DAMAGE
from perstack.schema.event import SkillStarting
from perstack.storage import reading
from perstack.storage.reading import Entry, RunReader
from storage.facts import fact, line, log_path

SIZES = [16, 100, 1000, 262144]

in_pieces = pytest.mark.parametrize("size", SIZES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "perstack"


def write(root: Path, *lines: bytes, end: bytes = b"\n") -> Path:
    path = log_path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(lines) + end)
    return path


def reader(root: Path) -> tuple[RunReader, list[str]]:
    told: list[str] = []
    return RunReader(root, "j1", "r1", told.append), told


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.head.seq for entry in entries]


@pytest.fixture(autouse=True)
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    size = getattr(request.node, "callspec", None)
    if size is not None and "size" in size.params:
        monkeypatch.setattr(reading, "CHUNK", size.params["size"])
        monkeypatch.setattr(reading, "FIRST_CHUNK", size.params["size"])


@in_pieces
def test_both_ends_give_the_same_events(root: Path, size: int) -> None:
    lines = [line(fact(seq, text="x" * (seq * 7 % 300))) for seq in range(1, 60)]
    write(root, *lines)
    log, told = reader(root)
    forward = list(log.newer())
    assert [entry.line for entry in forward] == lines
    assert numbers(forward) == list(range(1, 60))
    assert list(log.older()) == forward[::-1]
    assert not told
    assert log.torn_line is None


@in_pieces
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_good_is_given_and_what_is_not_is_told_by_file_and_line(
    root: Path, damage, size: int
) -> None:
    kept = {line(fact(seq)): seq for seq in range(1, 6)}
    path = write(root, *damage(list(kept)))
    for way in ("newer", "older"):
        log, told = reader(root)
        given = list(getattr(log, way)())
        assert {1, 2} <= {kept.get(entry.line) for entry in given}, way
        if told:
            assert told[-1 if way == "older" else 0].startswith(f"{path}, line 3: "), (way, told)
        else:  # only its head was read, and that is well
            assert len(given) == len(damage(list(kept)))
        assert all(
            message.isprintable() and len(message) < 300 + len(str(path)) for message in told
        )


def test_events_behind_damage_say_that_they_are(root: Path) -> None:
    write(root, line(fact(1)), b"{", line(fact(3)), line(fact(4)))
    log, _ = reader(root)
    assert [(entry.head.seq, entry.is_cut_off) for entry in log.newer()] == [
        (1, False),
        (3, True),
        (4, True),
    ]


@in_pieces
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_torn_last_line_is_no_event_and_no_damage(root: Path, count: int, size: int) -> None:
    lines = [line(fact(seq)) for seq in range(1, count + 1)]
    path = write(root, *lines, line(fact(count + 1, text="y" * 500))[:-20], end=b"")
    for way in ("newer", "older"):
        log, told = reader(root)
        assert len(list(getattr(log, way)())) == count
        assert log.torn_line == f"{path}, line {count + 1}: it is unfinished"
        assert not told


@in_pieces
def test_what_is_added_is_given_once(root: Path, size: int) -> None:
    path = write(root, line(fact(1)), line(fact(2)))
    log, told = reader(root)
    assert numbers(list(log.newer())) == [1, 2]
    with path.open("ab") as file:
        file.write(line(fact(3)) + b"\n" + line(fact(4))[:9])
    assert not list(log.newer()), "it had not grown for this reader"
    log.grow()
    assert numbers(list(log.newer())) == [3]
    with path.open("ab") as file:
        file.write(line(fact(4))[9:] + b"\n")
    log.grow()
    assert numbers(list(log.newer())) == [4]
    assert not told


@in_pieces
def test_what_is_passed_over_is_not_given_again(root: Path, size: int) -> None:
    path = write(root, *(line(fact(seq)) for seq in range(1, 9)), line(fact(9))[:30], end=b"")
    log, told = reader(root)
    assert numbers(list(log.older())) == list(range(8, 0, -1))
    log.pass_over()
    with path.open("ab") as file:
        file.write(line(fact(9))[30:] + b"\n" + b"{}\n" + line(fact(11)) + b"\n")
    log.grow()
    assert numbers(list(log.newer())) == [9, 11]
    assert [message.partition(": ")[0] for message in told] == [f"{path}, line 10"]


def test_the_end_of_a_long_log_is_read_without_the_rest(root: Path) -> None:
    path = write(root, *(line(fact(seq, text="z" * 400)) for seq in range(1, 5001)))
    log, _ = reader(root)
    read: list[int] = []
    whole = log._piece

    def counted(at: int, size: int) -> bytes:
        read.append(size)
        return whole(at, size)

    log._piece = counted  # type: ignore[method-assign]
    older = log.older()
    assert [next(older).head.seq for _ in range(10)] == list(range(5000, 4990, -1))
    assert sum(read) <= reading.FIRST_CHUNK < path.stat().st_size / 50


def test_a_line_without_end_is_told_and_ends_the_reading(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 10_000)
    monkeypatch.setattr(reading, "CHUNK", 1000)
    path = write(root, line(fact(1)), b"\0" * 50_000, line(fact(3)))
    log, told = reader(root)
    assert numbers(list(log.newer())) == [1]
    assert told == [f"{path}, line 2: it is longer than 10000 bytes"]
    log, told = reader(root)
    assert numbers(list(log.older())) == [3]
    assert told == [f"{path}, line 2: it is longer than 10000 bytes"]


def test_a_run_without_a_log_has_no_events(root: Path) -> None:
    log, told = reader(root)
    assert [*log.newer(), *log.older()] == []
    assert not told


@in_pieces
def test_events_of_one_type_are_found_past_everything_else(root: Path, size: int) -> None:
    first, last = (
        line(SkillStarting(seq=seq, job_id="j1", run_id="r1", skill_name="s", command="c"))
        for seq in (1, 5)
    )
    said = line(fact(2, text='"type":"skillStarting"'))
    inside = b'{"type":"other","seq":3,"jobId":"j1","runId":"r1","a":{"type":"skillStarting"}}'
    elsewhere = last.replace(b'"r1"', b'"r2"')
    damaged = first.replace(b"{", b"[")
    write(root, first, said, damaged, b"x" * 999, inside, elsewhere, last, last[:-9], end=b"")
    log, told = reader(root)
    assert [entry.line for entry in log.of_type("skillStarting")] == [first, last]
    assert not told
    assert numbers(list(log.newer()))[:2] == [1, 2], "nothing counts as given by that"
