"""Power is cut after every operation of a group's life: members, commits, resets, deletion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.coordination import Coordination
from streamlog.coordination.group_messages import JoinRequest, SyncRequest
from streamlog.errors import UnknownGroupError
from streamlog.storage import LogDirectory
from streamlog.testing import Cut, FaultyFiles, ManualClock
from streamlog.topic import TopicPartition

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..conftest import Sweep

ROOT = "/log"
CUTS_IN_CI = 120
A0, A1 = TopicPartition("a", 0), TopicPartition("a", 1)
Offsets = dict[TopicPartition, int]


def open_coordination(files: FaultyFiles) -> tuple[LogDirectory, Coordination]:
    clock = ManualClock()
    directory = LogDirectory.open(ROOT, files=files, clock=clock, threaded=False, boot_id="boot")
    coordination = Coordination(directory, clock=clock)
    coordination.open()
    return directory, coordination


def join(coordination: Coordination, name: str, instance: str | None = None) -> GroupMetadata:
    """A member of a group that nobody else is in."""
    members, answers = coordination.groups.members, list[Any]()
    request = JoinRequest(
        protocol_type="consumer",
        protocols=(("range", b""),),
        fresh_member_id=name,
        group_instance_id=instance,
    )
    members.join("g", request, answers.append)
    joined = answers.pop()
    sync = SyncRequest(
        member_id=joined.member_id,
        generation=joined.generation,
        group_instance_id=instance,
        assignments={} if joined.skip_assignment else {joined.member_id: b"all"},
    )
    members.sync("g", sync, answers.append)
    assert answers.pop().assignment == b"all"
    return GroupMetadata(
        group_id="g",
        generation_id=joined.generation,
        member_id=joined.member_id,
        group_instance_id=instance,
    )


@dataclass
class Life:
    """What was acknowledged when: offsets, and the least generation that must be known then."""

    files: FaultyFiles = field(default_factory=FaultyFiles)
    states: list[Offsets] = field(default_factory=lambda: [{}])
    generations: list[int] = field(default_factory=lambda: [0])
    acknowledged: list[int] = field(default_factory=lambda: [0])

    def live(self) -> None:
        directory, coordination = open_coordination(self.files)
        groups = coordination.groups
        for round_number in range(3):
            member = join(coordination, f"m{round_number}")
            generation = member.generation_id
            self.done(groups.commit(member, {A0: 1, A1: 2}), {A0: 1, A1: 2}, generation)
            self.done(groups.commit(member, {A0: 3}), {A0: 3, A1: 2}, generation)
            groups.members.leave(member)
            altered = groups.alter_offsets("g", {A0: 9, A1: None})
            self.done(altered, {A0: 9}, generation + 1)
            if round_number == 1:
                self.done(groups.delete("g"), {}, 0)
        coordination.close()
        directory.close()

    def done(self, future: Future[None], state: Offsets, generation: int) -> None:
        future.result(0)
        self.states.append(state)
        self.generations.append(generation)
        self.acknowledged.append(len(self.files.operations))

    def check(self, survived: FaultyFiles, cut: Cut) -> None:
        directory, coordination = open_coordination(survived)
        groups = coordination.groups
        known = sum(at <= cut.after for at in self.acknowledged) - 1
        found = groups.committed("g")
        assert found in self.states[known : known + 2]
        try:
            described = groups.describe("g")
        except UnknownGroupError:
            assert not found
        else:
            assert described.state == "Empty"  # its members ended with the process
            if self.generations[known : known + 2] == [self.generations[known]] * 2:
                assert described.generation_id >= self.generations[known]
        member = join(coordination, "successor")
        groups.commit(member, {A0: 77}).result(0)
        assert groups.committed("g")[A0] == 77
        coordination.close()
        directory.close()


@pytest.fixture(scope="module")
def life() -> Life:
    lived = Life()
    lived.live()
    return lived


def test_no_acknowledged_offset_or_deletion_is_lost_wherever_the_power_is_cut(
    life: Life, sweep: Sweep
) -> None:
    sweep.cut(life.files, life.check, in_ci=CUTS_IN_CI, seed="groups")
