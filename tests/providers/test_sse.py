from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.providers.sse import EventSplitter, EventTooLong

LINE = st.binary(max_size=12).filter(lambda line: not {10, 13} & set(line))
NEWLINE = st.sampled_from([b"\n", b"\r", b"\r\n"])
CUTS = st.lists(st.integers(0, 400), max_size=30)


def fed(stream: bytes, cuts: list[int]) -> list[bytes]:
    splitter = EventSplitter()
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(places)]
    return [event for chunk in chunks for event in splitter.feed(chunk)]


@given(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=6), NEWLINE, CUTS)
def test_events_are_the_same_wherever_the_stream_is_cut(events, newline, cuts):
    stream = b"".join(
        b"event: x" + newline + b"".join(b"data: " + line + newline for line in lines) + newline
        for lines in events
    )
    assert fed(stream, cuts) == [b"\n".join(lines) for lines in events]


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_split_alike_whole_and_cut(stream, cuts):
    assert fed(stream, cuts) == fed(stream, [])


def test_a_byte_at_a_time_is_enough():
    stream = "data: ä\r\n: note\r\ndata: b\r\n\r\n".encode()
    assert fed(stream, list(range(len(stream)))) == ["ä\nb".encode()]


def test_comments_names_ids_and_a_byte_order_mark_are_no_data():
    assert fed(b"\xef\xbb\xbfdata: 1\n\n: ping\n\nid: 2\nretry: 5\n\n", []) == [b"1"]


def test_an_unfinished_event_is_dropped():
    assert fed(b"data: 1\n\ndata: 2\n", []) == [b"1"]


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_an_event_without_end_is_refused_before_it_fills_the_memory(ending):
    splitter = EventSplitter(limit=1000)
    piece = b"data: " + b"x" * 400 + ending
    assert splitter.feed(piece) + splitter.feed(piece) == []
    with pytest.raises(EventTooLong):
        splitter.feed(piece)


def test_many_short_events_pass_a_limit_meant_for_one():
    splitter = EventSplitter(limit=1000)
    assert sum(len(splitter.feed(b"data: " + b"x" * 400 + b"\n\n")) for _ in range(50)) == 50


def test_comments_between_events_are_no_event_however_long_they_go_on():
    splitter = EventSplitter(limit=1000)
    comment = b": still here\n\n" * 10
    assert [splitter.feed(comment) for _ in range(50)] == [[]] * 50
    assert splitter.feed(b"data: 1\n\n") == [b"1"]


def test_a_comment_without_end_is_refused():
    splitter = EventSplitter(limit=1000)
    assert splitter.feed(b": still here" * 80) == []
    with pytest.raises(EventTooLong):
        splitter.feed(b": still here" * 80)
