"""The scanner says the same whatever the chunks, and the right thing wherever the bytes end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamlog.record import (
    Batch,
    BatchScanner,
    Codec,
    Corrupt,
    End,
    NeedData,
    Torn,
    encode_batch,
    encode_control_batch,
    scan,
)
from streamlog.record.control import ControlType

BATCHES = [
    bytes(encode_batch([b"k"], [b"first"], [1])),
    bytes(encode_batch([None] * 20, [b"second"] * 20, [2] * 20, base_offset=1, codec=Codec.LZ4)),
    bytes(encode_control_batch(ControlType.COMMIT, 1, 2, 3, 4, 21)),
]
RUN = b"".join(BATCHES)
STARTS = [0, len(BATCHES[0]), len(BATCHES[0] + BATCHES[1])]
ENDS = [*STARTS[1:], len(RUN)]

Seen = list[tuple[int, bytes] | Torn | Corrupt | End]


def seen(chunks: list[bytes], bound: int | None = None) -> Seen:
    """The events of a run in chunks; asserts that no more than `bound` bytes are held.

    And that whole batches may be taken many at a time.
    """
    events = seen_so(chunks, bound, many=False)
    assert seen_so(chunks, bound, many=True) == events
    return events


def seen_so(chunks: list[bytes], bound: int | None, *, many: bool) -> Seen:
    scanner = BatchScanner()
    events: Seen = []

    def drain() -> None:
        for batch in scanner.take_batches() if many else ():
            assert bound is None or len(batch.buffer) <= bound
            events.append((batch.position, batch.data))
        while not isinstance(event := scanner.next_event(), NeedData):
            if not isinstance(event, Batch):
                events.append(event)
                return
            assert bound is None or len(event.buffer) <= bound
            events.append((event.position, event.data))

    for chunk in chunks:
        scanner.feed(chunk)
        drain()
        if events and not isinstance(events[-1], tuple):
            return events
    scanner.feed_end()
    drain()
    return events


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_every_end_is_torn_or_an_end() -> None:
    for end in range(len(RUN) + 1):
        whole = sum(batch_end <= end for batch_end in ENDS)
        *batches, last = seen([RUN[:end]])

        assert batches == list(zip(STARTS, BATCHES, strict=True))[:whole]
        start = ([0, *ENDS])[whole]
        if not any(RUN[start:end]):  # nothing, or the zeros of the first base offset
            assert last == End(start, end - start)
        else:
            assert isinstance(last, Torn)
            assert last.position == start


def test_every_end_in_zeros_is_padding_or_not_a_batch() -> None:
    """A preallocated file: what was written ends anywhere, and zeros follow."""
    for end in range(len(RUN) + 1):
        whole = sum(batch_end <= end for batch_end in ENDS)
        data = RUN[:end] + bytes(500)
        *_, last = seen([data])

        start = ([0, *ENDS])[whole]
        # The end of a batch may itself be zeros, and the base offset of the first one is.
        if not any(RUN[start:end]):
            assert last == End(start, len(data) - start)
        elif isinstance(last, End):
            assert data.startswith(RUN[: last.position])
            assert last.position == ENDS[whole]
        else:
            assert isinstance(last, Corrupt)
            assert last.position == start


def test_every_changed_byte_leaves_the_batches_before_it() -> None:
    for position in range(len(RUN)):
        index = sum(batch_end <= position for batch_end in ENDS)
        damaged = RUN[:position] + bytes([RUN[position] ^ 0x95]) + RUN[position + 1 :]
        events = seen([damaged])

        assert events[:index] == list(zip(STARTS, BATCHES, strict=True))[:index]
        in_batch = position - STARTS[index]
        if 8 <= in_batch < 12:  # the length: it may now reach behind the end
            assert isinstance(events[-1], Corrupt | Torn)
            assert events[-1].position == STARTS[index]
        elif 0 < in_batch < 8 or 12 <= in_batch < 16:  # another offset or epoch
            assert events[-1] == End(len(RUN), 0)
        else:
            assert isinstance(events[-1], Corrupt)
            assert events[-1].position == STARTS[index]


def test_every_chunk_size_gives_the_same_events() -> None:
    for data in (RUN, RUN[:-1], RUN + bytes(70), RUN + b"\x07" * 70, RUN + bytes(61) + RUN):
        whole = seen([data])
        for size in range(1, len(data) + 1):
            assert seen(cut(data, size), bound=size + len(max(BATCHES, key=len))) == whole


@given(st.lists(st.binary(max_size=50) | st.sampled_from(BATCHES), max_size=6), st.integers(1, 99))
def test_any_bytes_give_the_same_events_in_any_chunks(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)

    assert seen(cut(data, size)) == seen([data])
    *batches, last = scan(data)
    assert all(isinstance(event, Batch) for event in batches)
    assert isinstance(last, Torn | Corrupt | End)
