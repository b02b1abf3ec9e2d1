"""The classic groups of one coordinator: parked requests, time, and what is to be written."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from streamlog.coordination.classic_group import ClassicGroup, GroupLimits, GroupState
from streamlog.coordination.group_messages import (
    JoinAnswer,
    RebalanceStarted,
    SyncAnswer,
    WriteGroup,
)
from streamlog.errors import NonEmptyGroupError, UnknownMemberError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from streamlog.client.contract import GroupMetadata
    from streamlog.clock import Clock
    from streamlog.coordination.group_messages import Decision, JoinRequest, SyncRequest
    from streamlog.coordination.group_record import GroupValue

IN_PROCESS: Final = ""
"""The client host of a member in this process. It ends with the process, unless it is static."""
STEP_MS: Final = 1_000
LONGEST_STEP_MS: Final = 2_000
"""A longer time between two steps is a stall: it judges nobody, and moves every deadline."""


class GroupMembers:
    """Feeds groups with requests and time. Usable from any thread.

    `_lock` guards the groups and is held while their records are written, which keeps these in the
    order of the generations; so nothing that the flusher's thread calls may come here. Answers
    are given when it is free: by the thread whose request, or whose `step`, made them due.
    """

    def __init__(
        self,
        clock: Clock,
        write: Callable[[str, GroupValue], None],
        limits: Callable[[], GroupLimits] = GroupLimits,
    ) -> None:
        self._clock = clock
        self._write = write
        self._limits = limits
        self._lock = Lock()
        self._groups: dict[str, ClassicGroup] = {}
        self._last_step_ms: int | None = None
        self.on_rebalance: Callable[[str, RebalanceStarted], None] | None = None
        """Told of a group and its members that have to join again; in any thread."""

    def load(self, name: str, value: GroupValue) -> None:
        """A group as its last record tells; members of a process that has ended are gone."""
        now_ms = self._clock.now_ms()
        group = ClassicGroup.restore(name, value, now_ms=now_ms)
        with self._lock:
            self._groups[name] = group
        for member in value.members:
            if member.client_host == IN_PROCESS and member.group_instance_id is None:
                with self._deciding(name) as decisions:
                    decisions += group.leave(member.member_id, now_ms)

    # Requests

    def join(self, name: str, request: JoinRequest, respond: Callable[[JoinAnswer], None]) -> None:
        """`respond` is called once, from any thread: now, or when the others have joined."""
        with self._deciding(name) as decisions:
            group = self._groups.get(name)
            if group is None and request.member_id:
                error = UnknownMemberError(name, request.member_id)
                decisions.append(JoinAnswer(ticket=respond, error=error))
                return
            if group is None:
                group = self._groups[name] = ClassicGroup(name)
            group.limits = self._limits()
            decisions += group.join(request, respond, self._clock.now_ms())

    def sync(self, name: str, request: SyncRequest, respond: Callable[[SyncAnswer], None]) -> None:
        """`respond` is called once, from any thread: now, or when the leader has assigned."""
        with self._deciding(name) as decisions:
            group = self._groups.get(name)
            if group is None:
                error = UnknownMemberError(name, request.member_id)
                decisions.append(SyncAnswer(ticket=respond, error=error))
            else:
                decisions += group.sync(request, respond, self._clock.now_ms())

    def heartbeat(self, member: GroupMetadata) -> None:
        """Raises what `ClassicGroup.heartbeat` raises."""
        with self._lock:
            self._known(member).heartbeat(
                member.member_id,
                member.generation_id,
                self._clock.now_ms(),
                group_instance_id=member.group_instance_id,
            )

    def leave(self, member: GroupMetadata) -> None:
        """Raises what `ClassicGroup.leave` raises."""
        with self._deciding(member.group_id) as decisions:
            decisions += self._known(member).leave(
                member.member_id,
                self._clock.now_ms(),
                group_instance_id=member.group_instance_id,
            )

    @contextmanager
    def committing(self, member: GroupMetadata, *, transactional: bool) -> Generator[None]:
        """While the block appends offsets, the group stays as it was when it was asked.

        Raises what `ClassicGroup.check_commit` raises.
        """
        with self._lock:
            group = self._groups.get(member.group_id) or ClassicGroup(member.group_id)
            group.check_commit(
                member.member_id,
                member.generation_id,
                group_instance_id=member.group_instance_id,
                transactional=transactional,
                now_ms=self._clock.now_ms(),
            )
            yield

    @contextmanager
    def without_members(self, name: str, attempted: str) -> Generator[None]:
        """While the block runs, nobody joins. Raises `NonEmptyGroupError`."""
        with self._lock:
            group = self._groups.get(name)
            if group is not None and group.state is not GroupState.EMPTY:
                raise NonEmptyGroupError(name, attempted)
            yield

    @contextmanager
    def looked_at(self, name: str) -> Generator[ClassicGroup | None]:
        """The group while nothing else can be done with it; None where it never had a member."""
        with self._lock:
            yield self._groups.get(name)

    def forget(self, name: str) -> bool:
        """The empty group is deleted; whether it was there. Within one of the blocks above."""
        group = self._groups.pop(name, None)
        if group is not None:
            group.die()
        return group is not None

    def names(self) -> list[str]:
        """Groups that have had a member."""
        with self._lock:
            return list(self._groups)

    # Time

    def step(self) -> int | None:
        """Ends what is over by now; returns the time of the next step, None where nobody waits.

        Steps have to come about every second while there are members. A longer gap is a stall of
        the process, in which nobody could send a heartbeat: every deadline moves by it.
        """
        now_ms = self._clock.now_ms()
        last_ms, self._last_step_ms = self._last_step_ms, now_ms
        gap_ms = 0 if last_ms is None else now_ms - last_ms
        with self._lock:
            waiting = [group for group in self._groups.values() if group.due_ms is not None]
        if not waiting:
            self._last_step_ms = None
            return None
        for group in waiting:
            with self._deciding(group.group) as decisions:
                if 0 <= gap_ms <= LONGEST_STEP_MS:
                    decisions += group.step(now_ms)
                else:
                    group.postpone(gap_ms)
        return now_ms + STEP_MS

    def _known(self, member: GroupMetadata) -> ClassicGroup:
        group = self._groups.get(member.group_id)
        if group is None:
            raise UnknownMemberError(member.group_id, member.member_id)
        return group

    @contextmanager
    def _deciding(self, name: str) -> Generator[list[Decision]]:
        """Does what the block decided: writes records under the lock, answers behind it."""
        decisions: list[Decision] = []
        try:
            with self._lock:
                yield decisions
                for decision in decisions:
                    if isinstance(decision, WriteGroup):
                        self._write(name, decision.value)
        finally:
            # Also where a record could not be written: writing has ended, and nobody shall wait.
            for decision in decisions:
                match decision:
                    case JoinAnswer() | SyncAnswer():
                        decision.ticket(decision)
                    case RebalanceStarted() if self.on_rebalance is not None:
                        self.on_rebalance(name, decision)
                    case _:
                        pass
