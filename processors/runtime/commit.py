"""The commit, in numbered steps, here and nowhere else.

  1. Stop feeding: nothing runs between the first step and the hand-over of the transaction.
     Events that agents have finished are in their stores already; those in flight are not.
  2. Down the sub-topologies in order: the engine drains what waits, runs it and flushes the
     stores. Dirty entries become `committing`, which is also the changelog records.
  3. Add outputs, changelogs and consumed offsets; commit the application's one transaction.
     While it is synced, rounds go on: what they change is dirty again and not in it.
  4. `committing` becomes `committed`; if a checkpoint is due, it goes to the byte stores with the
     changelog offsets that it reflects.

Die before 3 has finished: the transaction aborts, and nothing happened. Die after: the stores are
behind their changelogs and catch up at the next start. There is no third case. A commit whose
outcome is unknown is treated as a death of the tasks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from processors.runtime.outbox import Address, Output
    from processors.runtime.tasks import Tasks
    from streamlog.client.contract import Producer, TopicPartition


class Transactions:
    """Takes the tasks' progress through one transaction after another.

        closed ──send──> open ──begin_commit──> committing ──end_commit──> closed

    Owned by the loop's thread.
    """

    def __init__(self, producer: Producer, tasks: Tasks) -> None:
        self._producer = producer
        self._tasks = tasks
        self._open = False
        self._committing: Future[None] | None = None
        self._positions: list[dict[TopicPartition, int]] = []
        self.records_out = 0
        self.commits = 0

    @property
    def committing(self) -> bool:
        return self._committing is not None

    @property
    def durable(self) -> bool:
        """Whether `end_commit` would not wait."""
        return self._committing is not None and self._committing.done()

    def send(self) -> None:
        """Moves what is to be written so far into the transaction, which it opens if need be."""
        assert not self.committing, "one transaction at a time"
        outputs = self._tasks.take_outputs()
        if outputs and not self._open:
            self._producer.begin_transaction()
            self._open = True
        for address, output in outputs.items():
            self._send_columns(address, output)

    def begin_commit(self) -> Future[None]:
        """Steps 1 to 3; the future ends when the transaction is durable."""
        self._tasks.flush()
        self.send()
        if not self._open:
            self._producer.begin_transaction()
        self._positions = []
        for group, positions in self._tasks.positions():
            self._positions.append(positions)
            if positions:
                self._producer.send_offsets_to_transaction(positions, group)
        self._open = False
        self._committing = self._producer.commit_transaction_async()
        return self._committing

    def end_commit(self) -> None:
        """Step 4. Raises what the commit raised: its outcome may be unknown then."""
        assert self._committing is not None
        committed, self._committing = self._committing, None
        committed.result()
        self.commits += 1
        self._tasks.on_committed(self._positions)

    async def settle(self) -> None:
        """The end of a life: channels forget what a commit in flight makes durable.

        A round that runs ahead of it may have failed. Stores and positions find the commit at the
        next start; a channel has nothing but this process, and would give its rows again.
        """
        if self._committing is None or not self._tasks.has_feeds:
            return
        committed, self._committing = self._committing, None
        try:
            await asyncio.wrap_future(committed)
        except Exception:  # it is not durable, as far as anybody knows
            return
        self._tasks.tell_feeds()

    def _send_columns(self, address: Address, output: Output) -> None:
        topic, partition = address
        self._producer.send_columns(
            topic,
            output.keys,
            output.values,
            timestamps=output.timestamps,
            headers=output.headers,
            partition=partition,
        )
        if not self._tasks.is_internal(topic):
            self.records_out += len(output)
