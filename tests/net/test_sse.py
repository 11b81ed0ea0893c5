import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.net.sse import MAX_ID, Event, EventReader, EventSplitter, EventTooLong

LINE = st.binary(max_size=12).filter(lambda line: not {10, 13} & set(line))
NEWLINE = st.sampled_from([b"\n", b"\r", b"\r\n"])
CUTS = st.lists(st.integers(0, 400), max_size=30)


LIMIT = 100_000


def fed(stream: bytes, cuts: list[int]) -> list[bytes]:
    return fed_to(EventSplitter(LIMIT), stream, cuts)


def read(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    return fed_to(EventReader(LIMIT), stream, cuts or [])


def fed_to(splitter, stream: bytes, cuts: list[int]) -> list:
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
    assert read(stream, cuts) == read(stream)


FIELD = st.sampled_from(
    [b"data", b"data:", b"data: x", b"id: 1", b"retry: 2", b"event: e", b": c", b""]
)


@given(st.lists(FIELD, max_size=20), NEWLINE, CUTS)
def test_both_readers_see_the_same_data(lines, newline, cuts):
    stream = b"".join(line + newline for line in lines)
    assert [event.data for event in read(stream, cuts)] == fed(stream, cuts)


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


def test_an_event_has_a_name_and_keeps_the_newest_id_and_pause():
    stream = b"id: 7\nretry: 250\nevent: endpoint\ndata: /a\n\ndata:b\ndata\n\nid\ndata: c\n\n"
    assert read(stream) == [
        Event("endpoint", b"/a", "7", 250),
        Event("message", b"b\n", "7", 250),
        Event("message", b"c", "", 250),
    ]


def test_an_event_without_data_is_none_but_its_id_counts():
    reader = EventReader(LIMIT)
    assert reader.feed(b"event: x\nid: 7\nretry: 250\n\n") == []
    assert (reader.last_id, reader.retry) == ("7", 250)
    assert reader.feed(b"data: 1\n\n") == [Event("message", b"1", "7", 250)]


def test_an_id_counts_once_its_event_is_whole():
    reader = EventReader(LIMIT)
    reader.feed(b"id: 7\ndata: 1\n")
    assert reader.last_id == ""
    reader.feed(b"\n")
    assert reader.last_id == "7"


@pytest.mark.parametrize("line", [b"id: a\0b", b"id: " + b"x" * (MAX_ID + 1)])
def test_an_id_that_cannot_be_sent_back_is_ignored(line):
    assert read(b"id: 1\n" + line + b"\ndata: 1\n\n") == [Event("message", b"1", "1", None)]


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"1s", b"9" * 5000, "٣".encode()])
def test_a_pause_that_is_no_number_of_milliseconds_is_ignored(value):
    assert read(b"retry: " + value + b"\ndata: 1\n\n") == [Event("message", b"1", "", None)]


def test_an_event_that_is_read_whole_has_the_limit_as_well():
    reader = EventReader(1000)
    with pytest.raises(EventTooLong):
        reader.feed(b"id: " + b"x" * 1000)


def test_an_event_of_very_many_short_lines_takes_no_more_than_their_bytes():
    reader = EventReader(4_000_000)
    piece = b"data:ab\n" * 8_000
    tracemalloc.start()
    try:
        for _ in range(50):
            assert reader.feed(piece) == []
        assert tracemalloc.get_traced_memory()[0] < 2_500_000
    finally:
        tracemalloc.stop()
