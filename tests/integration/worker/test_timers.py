"""Timers of the wall clock in a worker: nothing has to arrive for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors import App, Context, Row
from streamlog.client.contract import TopicPartition

if TYPE_CHECKING:
    from processors.runtime.worker import Worker


class Beat:
    def init(self, context: Context) -> None:
        self.context = context
        context.schedule(1, self.beat, wall_clock=True)

    def process(self, row: Row) -> None:
        self.context.store("heard").put("last", row.value)

    def beat(self, now: int) -> None:
        self.context.forward(self.context.store("heard").get("last", "nothing"), key="beat")


def test_a_timer_of_the_wall_clock_commits_what_it_sends(bench) -> None:
    bench.log.create_topic("in")
    app = App("beating")
    heard = app.state_store("heard", value=str)
    app.stream("in", value=str).process(Beat, stores=[heard], value=str, name="beat").to("out")
    out = TopicPartition("out", 0)

    def said(word: str) -> bool:
        return any(record.value == word for record in bench.records("out", str))

    async def script(worker: Worker) -> None:
        await bench.wait(
            worker, lambda: "out" in bench.log.topics() and bench.log.end_offsets([out])[out] > 1
        )
        assert said("nothing")
        bench.send("in", "something")
        await bench.wait(worker, lambda: said("something"))

    bench.drive(app, script)
    assert said("something")
