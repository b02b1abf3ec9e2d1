"""What runs once a record of a processor: its context, its loop, its plain store (compiled)."""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from processors.errors import ProcessorError
from processors.topology.duration import milliseconds
from processors.topology.row import Row, checked_headers
from processors.topology.timestamp import checked_time
from streamlog.serdes import BYTES, DOUBLE, LONG, STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_extensions import i64

    from processors.state.cached import Entry, KeyValueState
    from processors.topology.duration import Duration

_PLAIN: Final = ((STRING, str), (LONG, int), (BYTES, bytes), (DOUBLE, float))
_GENERATOR: Final[Any] = GeneratorType
_SMALL: Final = 1 << 61
"""Ints below it need no look at whether they can be written."""


class _Same:
    def __repr__(self) -> str:
        return "<as the record's>"


SAME: Final = _Same()


class Schedule:
    """One timer of a processor, as `Context.schedule` makes it. `cancel` ends it."""

    def __init__(self, interval_ms: int, function: Callable[[int], object], name: str) -> None:
        self.interval_ms: int = interval_ms
        self.function: Any = function
        self.name: str = name
        self.due_ms: int = 0
        self.cancelled: bool = False

    def cancel(self) -> None:
        """It is not called again."""
        self.cancelled = True


class Context:
    """What a processor knows beside its record, and how it sends records on.

    One a task. It is valid during the call that it was given to, or that of a timer.

    >>> app = App("doc")
    >>> class Idle:
    ...     def init(self, context):
    ...         self.context, self.seen = context, 0
    ...         context.schedule("1m", self.tell)
    ...     def process(self, row):
    ...         self.seen += 1
    ...     def tell(self, now):
    ...         self.context.forward(self.seen, key="so far", timestamp=now)
    >>> app.stream("clicks", value=str).process(Idle, value=int).to("out")
    >>> driver = TopologyTestDriver(app)
    >>> for minute in (0, 0, 1):
    ...     driver.pipe("clicks", "/", timestamp=minute * 60_000)
    >>> driver.items("out")
    [('so far', 1), ('so far', 3)]

    Attributes:
        key, value, timestamp, headers: Of the record in hand; None and the time, in a timer.
        stream_time: The highest timestamp that this processor has seen in this task; -1 before.
        wall_clock: What the clock showed last, in milliseconds; -1 before it was looked at.
    """

    def __init__(self, path: str, stores: dict[str, Any], coordinates: Any) -> None:
        self.path: str = path
        self.key: Any = None
        self.value: Any = None
        self.timestamp: i64 = -1
        self.headers: Any = None
        self.stream_time: i64 = -1
        self.wall_clock: i64 = -1
        self.due: i64 = -1
        self.ticket: i64 = 0
        self.row_index: i64 = -1
        self.has_time: bool = False
        self.keeps_key: bool = False
        self.schedules: list[Schedule] = []
        self.clock_schedules: list[Schedule] = []
        self.undo: Any = None
        self._stores: dict[str, Any] = stores
        self._coordinates: Any = coordinates
        self._places: Any = None
        self.tickets: Any = ()
        self.keys_out: list[Any] = []
        self.values_out: list[Any] = []
        self.timestamps_out: list[int] = []
        self.tickets_out: list[int] = []
        self.headers_out: dict[int, Any] = {}
        self.initialising: bool = False

    def forward(
        self, value: Any = SAME, *, key: Any = SAME, timestamp: Any = SAME, headers: Any = SAME
    ) -> None:
        """Sends a record on; what is not given is as the record in hand has it.

        In a timer there is none: key and value are None then, the time is the stream time, or the
        clock's before any record came.

        Raises:
            TypeError, InvalidTimestampError: a time or headers that cannot be.
            ProcessorError: another key in `process_values`, which leaves keys alone.
        """
        if self.keeps_key and key is not SAME and key != self.key:
            raise ProcessorError(self.path, "process_values leaves keys alone; use process")
        self.send(
            self.key if key is SAME else key,
            self.value if value is SAME else value,
            self.timestamp if timestamp is SAME else checked_time(timestamp),
            self.headers if headers is SAME else headers,
        )

    def send(self, key: Any, value: Any, timestamp: i64, headers: Any) -> None:
        """As `forward`, with everything given and nothing but headers looked at."""
        if headers:
            self.headers_out[len(self.keys_out)] = checked_headers(headers)
        self.keys_out.append(key)
        self.values_out.append(value)
        self.timestamps_out.append(timestamp)
        self.tickets_out.append(self.ticket)

    def give(self, given: Any) -> None:
        """A row that a function returned or yielded: a `Row`, or a pair of key and value."""
        if isinstance(given, Row):
            self.send(given.key, given.value, checked_time(given.timestamp), given.headers)
            return
        pair: Any = given
        if isinstance(given, tuple) and len(pair) == 2:
            self.send(pair[0], pair[1], self.timestamp, self.headers)
        else:
            raise ProcessorError(
                self.path, f"{given!r} is no row: give a Row, or a pair (key, value)"
            )

    def store(self, name: Any) -> Any:
        """A store that is attached to this processor, by its name or as `state_store` gave it.

        Raises:
            ProcessorError: it is not in `process(..., stores=[...])`.
        """
        wanted: str = name if isinstance(name, str) else name.name
        found = self._stores.get(wanted)
        if found is None:
            attached = ", ".join(map(repr, sorted(self._stores))) or "none"
            raise ProcessorError(
                self.path,
                f"store {wanted!r} is not attached to it (attached: {attached}); "
                "name it: process(..., stores=[...])",
            )
        return found

    @property
    def coordinates(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the record of a topic that the one in hand came from.

        Raises:
            LookupError: behind a table and in a timer there is none.
        """
        if self.row_index < 0:
            raise LookupError(f"{self.path}: there is no record in hand")
        if self._places is None:
            self._places = self._coordinates(self.tickets)
        place: tuple[str, int, int] = self._places[self.row_index]
        return place

    def schedule(
        self,
        interval: Duration,
        function: Callable[[int], object],
        *,
        wall_clock: bool = False,
        name: str | None = None,
    ) -> Schedule:
        """Calls `function(now)` every so often in stream time, or by the wall clock.

        A jump of time over several intervals is one call; the next is due at the next multiple.
        In stream time the first record is the first call. When it is due next is state; by the wall
        clock, the first call is an interval after the start.

        Args:
            interval: Milliseconds, a text such as "10s", or a timedelta.
            name: What the state is found again by; the number of the schedule where not given.

        Raises:
            ProcessorError: not in `init`, no duration of a millisecond or more, or no function.
        """
        if not self.initialising:
            raise ProcessorError(self.path, "schedule() is called in init, when a task starts")
        try:
            interval_ms = milliseconds(interval, "schedule")
        except (TypeError, ValueError) as error:
            raise ProcessorError(self.path, str(error)) from error
        if interval_ms < 1:
            raise ProcessorError(self.path, f"schedule({interval!r}): at least a millisecond")
        if not callable(function):
            raise ProcessorError(self.path, f"schedule: {function!r} cannot be called")
        schedules = self.clock_schedules if wall_clock else self.schedules
        made = Schedule(interval_ms, function, name or str(len(schedules)))
        made.due_ms = -1 if wall_clock else 0
        schedules.append(made)
        return made

    def begin(self, tickets: Sequence[int]) -> None:
        """Before a chunk."""
        self.tickets = tickets
        self._places = None
        self.keys_out = []
        self.values_out = []
        self.timestamps_out = []
        self.tickets_out = []
        self.headers_out = {}

    def no_record(self, time: i64) -> None:
        """In a timer."""
        self.key = None
        self.value = None
        self.timestamp = time
        self.headers = []
        self.row_index = -1

    def roll_back(self, sent: i64) -> None:
        """A call has failed: what it sent and wrote has not happened."""
        for index in range(sent, len(self.keys_out)):
            self.headers_out.pop(index, None)
        del self.keys_out[sent:]
        del self.values_out[sent:]
        del self.timestamps_out[sent:]
        del self.tickets_out[sent:]
        for entry, value, timestamp in reversed(self.undo):
            entry.value = value
            entry.timestamp = timestamp


def kind_of(value: object) -> Any:
    return type(value)


def run_rows(
    context: Context,
    function: Any,
    keys: list[Any],
    values: list[Any],
    timestamps: list[int],
    tickets: list[int],
    headers: Any,
    values_only: bool,
    with_context: bool,
    report: Any,
    after_time: Any,
) -> None:
    """Calls the processor for every row.

    Args:
        report: Is told of a row that failed; raises where the policy is to fail.
        after_time: Is called when timers are due, after the row that made them so.
    """
    survives = context.undo is not None
    count: i64 = len(timestamps)
    index: i64 = 0
    while index < count:
        key = keys[index]
        value = values[index]
        timestamp: i64 = timestamps[index]
        row_headers: list[Any] = list(headers[index]) if headers is not None else []
        context.key = key
        context.value = value
        context.timestamp = timestamp
        context.headers = row_headers
        context.ticket = tickets[index]
        context.row_index = index
        if timestamp > context.stream_time:
            context.stream_time = timestamp
        sent: i64 = len(context.keys_out)
        if survives:
            context.undo.clear()
        try:
            given: Any = value if values_only else Row(key, value, timestamp, row_headers)
            made: Any = function(given, context) if with_context else function(given)
            if made is not None:
                if kind_of(made) is _GENERATOR:
                    for each in made:
                        if values_only:
                            context.send(key, each, timestamp, row_headers)
                        else:
                            context.give(each)
                elif values_only:
                    context.send(key, made, timestamp, row_headers)
                else:
                    context.give(made)
        except Exception as error:
            report(index, error)
            context.roll_back(sent)
        if context.due >= 0 and context.stream_time >= context.due:
            after_time(index)
        index += 1


class KeyValueStore:
    """Keys and values. Owned by one task.

    Values that can be changed in place are copied on their way in and out: put them back. What the
    serdes refuse is raised by the call.

    >>> app = App("doc")
    >>> bids = app.state_store("bids", value=int)
    >>> def highest(row, context):
    ...     store = context.store("bids")
    ...     if row.value > store.get(row.key, 0):
    ...         store[row.key] = row.value
    ...     return row.replace(value=store[row.key])
    >>> app.stream("in", value=int).process(highest, stores=[bids], value=int).to("out")
    >>> rows = [("hat", 5), ("hat", 3), ("cap", 1)]
    >>> TopologyTestDriver(app).run("in", rows).items("out")
    [('hat', 5), ('hat', 5), ('cap', 1)]
    """

    def __init__(self, state: KeyValueState, context: Context) -> None:
        self.name: str = state.name
        self.state: KeyValueState = state
        self.context: Context = context
        self.key_serde: Any = state.key_serde
        self.value_serde: Any = state.value_serde
        self.immutable: bool = state.value_serde.immutable
        self.key_type: Any = None
        self.value_type: Any = None
        for serde, kind in _PLAIN:
            if serde is state.key_serde:
                self.key_type = kind
            if serde is state.value_serde:
                self.value_type = kind

    def entry(self, key: Any) -> Entry:
        """What is kept of a key, for the stores that are built on this one."""
        if type(key) is not self.key_type:
            # 1.0 and True equal 1, but are no keys of a store of ints.
            key = self.key_serde.deserialize(self.key_serde.serialize(key))
        return self.state.entry(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default`."""
        value = self.entry(key).value
        if value is None:
            return default
        if self.immutable:
            return value
        return self.value_serde.deserialize(self.value_serde.serialize(value))

    def put(self, key: Any, value: Any, timestamp: Any = None) -> bool:
        """Stores a value; None deletes. True: it is stored.

        Args:
            timestamp: Of the record in hand where it is not given.
        """
        time: i64 = self.context.timestamp if timestamp is None else checked_time(timestamp)
        self.write(self.entry(key), self.checked(value), time)
        return True

    def checked(self, value: Any) -> Any:
        """The value as it would be read again; raises what the serde raises."""
        if value is None:
            return None
        kind = kind_of(value)
        if kind is self.value_type:
            if kind is int:
                number: int = value
                if -_SMALL < number < _SMALL:
                    return value
            elif kind is float or kind is bytes or (kind is str and value.isascii()):
                return value
        return self.value_serde.deserialize(self.value_serde.serialize(value))

    def write(self, entry: Entry, value: Any, timestamp: i64) -> None:
        """Changes an entry; taken back where the call fails and the policy is to go on."""
        if self.context.undo is not None:
            self.context.undo.append((entry, entry.value, entry.timestamp))
        entry.value = value
        entry.timestamp = timestamp
        if not entry.dirty:
            entry.state.mark(entry)

    def put_if_absent(self, key: Any, value: Any) -> Any:
        """Stores a value where there is none; returns the one that was there, or None."""
        found = self.get(key)
        if found is None:
            self.put(key, value)
        return found

    def delete(self, key: Any) -> Any:
        """Deletes a key; returns the value that it had, or None."""
        found = self.get(key)
        if found is not None:
            self.put(key, None)
        return found

    def items(self, start: Any = None, end: Any = None) -> Iterator[tuple[Any, Any]]:
        """Keys and values in the order of the key bytes, from `start` to `end`, both included."""
        for key, value, _ in self.rows(start, end):
            yield key, value

    def rows(self, start: Any = None, end: Any = None) -> Iterator[tuple[Any, Any, int]]:
        """Keys, values and timestamps, as `items`."""
        first: Any = None if start is None else self.key_serde.serialize(start)
        last: Any = None if end is None else self.key_serde.serialize(end)
        for key_bytes, data, timestamp in list(self.state.encoded_rows()):
            if (first is None or key_bytes >= first) and (last is None or key_bytes <= last):
                key = self.key_serde.deserialize(key_bytes)
                yield key, self.value_serde.deserialize(data), timestamp

    def with_prefix(self, prefix: str | bytes) -> Iterator[tuple[Any, Any]]:
        """Keys and values of the keys whose bytes begin with these."""
        head = prefix.encode() if isinstance(prefix, str) else prefix
        for key_bytes, data, _ in list(self.state.encoded_rows()):
            if key_bytes.startswith(head):
                yield self.key_serde.deserialize(key_bytes), self.value_serde.deserialize(data)

    def __getitem__(self, key: Any) -> Any:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __contains__(self, key: Any) -> bool:
        return self.entry(key).value is not None

    def __len__(self) -> int:
        count = 0
        for _ in self.state.encoded_rows():
            count += 1
        return count
