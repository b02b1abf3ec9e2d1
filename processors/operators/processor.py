"""The user's own operator: a function of a row and a context, or a class made once a task.

It runs record by record. What a call that failed has sent and written is taken back, where the
policy is to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.errors import ProcessorError
from processors.operators.chunk import EMPTY, Chunk
from processors.operators.operator import LocatingFailures, Operator, Origin, reporter
from processors.operators.processor_kernel import Context, Schedule, run_rows
from processors.topology.timestamp import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from processors.operators.processor_stores import TimeOrderedStore
    from processors.state.cached import KeyValueState
    from processors.state.state import State
    from streamlog.client.contract import Headers

STREAM_TIME = "stream time"


class ProcessOperator(Operator):
    """Runs a processor in one task.

    Args:
        context: With the stores that are attached.
        function: Or a class, whose instance has `process`, and `init` where it wants it.
        states: Of the attached stores.
        expiring: Those of the attached stores that forget what is too old.
        time: Where stream time and timers are kept; None for one without state.
        values_only: Whether it sees values and gives values.
    """

    def __init__(
        self,
        path: str,
        context: Context,
        function: Callable[..., Any],
        states: Sequence[State],
        expiring: Sequence[TimeOrderedStore],
        time: KeyValueState | None,
        failures: LocatingFailures,
        *,
        values_only: bool,
    ) -> None:
        super().__init__(path)
        self.context = context
        self.failures = failures
        self._states = list(states)
        self._expiring = list(expiring)
        self._time = time
        self._values_only = values_only
        context.keeps_key = values_only
        context.undo = [] if failures.survives("processing") else None
        self._with_context = not isinstance(function, type)
        self._function: Callable[..., Any] = function
        if isinstance(function, type):
            made: Any = function()
            self._function = made.process
            init = getattr(made, "init", None)
            if init is not None:
                context.initialising = True
                init(context)
                context.initialising = False

    def process(self, chunk: Chunk) -> Chunk:
        assert chunk.keys is not None
        assert chunk.values is not None
        context = self.context
        tickets = list(chunk.tickets)
        context.begin(tickets)
        self._load_time()
        report = reporter(self.failures, "processing", self.path, tickets)

        def punctuate(index: int) -> None:
            self._punctuate(lambda error: report(index, error))

        run_rows(
            context,
            self._function,
            chunk.keys,
            chunk.values,
            chunk.timestamps,
            tickets,
            chunk.headers,
            self._values_only,
            self._with_context,
            report,
            punctuate,
        )
        self._save_time()
        return self._sent()

    def tick(self, now_ms: int, next_ticket: int) -> Chunk | None:
        context = self.context
        context.wall_clock = now_ms
        if not context.clock_schedules:
            return None
        context.begin(())
        self._load_time()
        for schedule in context.clock_schedules:
            if schedule.due_ms < 0:
                schedule.due_ms = now_ms + schedule.interval_ms
            elif schedule.due_ms <= now_ms and not schedule.cancelled:
                schedule.due_ms = next_due(schedule, now_ms)
                context.no_record(context.stream_time if context.stream_time >= 0 else now_ms)
                self._call(schedule, now_ms, self._fail)
        return self._of_timers(next_ticket)

    def _of_timers(self, next_ticket: int) -> Chunk | None:
        """What timers have sent that run behind no record."""
        sent = self._sent()
        if not len(sent):
            return None
        tickets = range(next_ticket, next_ticket + len(sent))
        return Chunk(sent.keys, sent.values, sent.timestamps, tickets, sent.headers)

    def next_due(self) -> int:
        if not self.context.schedules:
            return NEVER
        self._load_time()
        due: int = self.context.due
        return NEVER if due < 0 else max(due, self.context.stream_time + 1)

    def advance(self, time: int, next_ticket: int) -> Chunk | None:
        """Timers in stream time run; behind no record, so that what they raise has no origin."""
        context = self.context
        if not context.schedules:
            return None
        context.begin(())
        self._load_time()
        if time <= context.stream_time:
            return None
        context.stream_time = time
        if 0 <= context.due <= time:
            origin = Origin(self.path, 0, None, time, None, None, [])
            self._punctuate(
                lambda error: self.failures.report_from(
                    "processing", self.path, origin, next_ticket, error
                )
            )
        self._save_time()
        return self._of_timers(next_ticket)

    def flush(self, next_ticket: int) -> Chunk | None:
        for store in self._expiring:
            store.expire()
        for state in self._states:
            state.flush()
        if self._time is not None:
            self._time.flush()
        return None

    def locate(self, rows: Chunk, index: int) -> Origin:
        """A row that a timer made; it has no record."""
        return Origin(self.path, 0, None, rows.timestamps[index], None, None, [])

    def _punctuate(self, report: Callable[[Exception], None]) -> None:
        context = self.context
        now = context.stream_time
        for schedule in context.schedules:
            if schedule.due_ms <= now and not schedule.cancelled:
                schedule.due_ms = next_due(schedule, now)
                context.no_record(now)
                self._call(schedule, now, report)
        self._set_due()

    def _call(self, schedule: Schedule, now: int, report: Callable[[Exception], None]) -> None:
        context = self.context
        sent = len(context.keys_out)
        if context.undo is not None:
            context.undo.clear()
        try:
            schedule.function(now)
        except Exception as error:
            report(error)
            context.roll_back(sent)

    def _fail(self, error: Exception) -> None:
        raise ProcessorError(self.path, f"a timer of the wall clock raised {error!r}") from error

    def _load_time(self) -> None:
        """From the state, which an abort has put back."""
        context = self.context
        if self._time is None:
            return
        found: int | None = self._time.get(STREAM_TIME)
        context.stream_time = -1 if found is None else found
        for schedule in context.schedules:
            due: int | None = self._time.get(schedule.name)
            schedule.due_ms = 0 if due is None else due
        self._set_due()

    def _set_due(self) -> None:
        running = [each.due_ms for each in self.context.schedules if not each.cancelled]
        self.context.due = min(running, default=-1)

    def _save_time(self) -> None:
        if self._time is None:
            return
        now = self.context.stream_time
        marks = {STREAM_TIME: now}
        marks.update({schedule.name: schedule.due_ms for schedule in self.context.schedules})
        for name, value in marks.items():
            if value >= 0 and self._time.get(name) != value:
                self._time.put(name, value, now)

    def _sent(self) -> Chunk:
        context = self.context
        if not context.keys_out:
            return EMPTY
        headers: list[Headers] | None = None
        if context.headers_out:
            given = context.headers_out
            places = range(len(context.keys_out))
            headers = [given.get(at, []) for at in places]
        return Chunk(
            context.keys_out,
            context.values_out,
            context.timestamps_out,
            context.tickets_out,
            headers,
        )


def next_due(schedule: Schedule, now: int) -> int:
    """The next multiple of the interval beyond now, counted from when it was due."""
    return schedule.due_ms + ((now - schedule.due_ms) // schedule.interval_ms + 1) * (
        schedule.interval_ms
    )
