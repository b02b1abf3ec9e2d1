from __future__ import annotations

import pytest

from streamlog.client.contract import GroupMetadata
from streamlog.coordination.group_record import decode_assignment, decode_group, encode_group
from streamlog.coordination.group_state import (
    GroupState,
    check_commit,
    from_value,
    join,
    leave,
    to_value,
)
from streamlog.errors import IllegalGenerationError, UnknownMemberError
from streamlog.topic import TopicPartition

IN = [TopicPartition("in", 0), TopicPartition("in", 1)]
NOBODY = GroupMetadata(group_id="g")


def joined(state: GroupState, member_id: str) -> GroupState:
    return join(state, member_id=member_id, client_id="c", topics=["in"], partitions=IN, now_ms=5)


def metadata(state: GroupState) -> GroupMetadata:
    assert state.member is not None
    return GroupMetadata(
        group_id="g", generation_id=state.generation, member_id=state.member.member_id
    )


def test_a_member_of_the_current_generation_may_commit() -> None:
    state = joined(GroupState(group="g"), "one")
    assert state.generation == 1
    check_commit(state, metadata(state), transactional=False)


def test_a_second_member_takes_over_and_the_first_is_fenced() -> None:
    first = joined(GroupState(group="g"), "one")
    second = joined(first, "two")
    check_commit(second, metadata(second), transactional=False)
    with pytest.raises(
        IllegalGenerationError, match="generation 1 has ended, the current one is 2"
    ):
        check_commit(second, metadata(first), transactional=True)


def test_who_left_is_fenced_and_who_never_joined_is_unknown() -> None:
    first = joined(GroupState(group="g"), "one")
    empty = leave(first, "one", now_ms=6)
    assert (empty.generation, empty.empty) == (2, True)
    with pytest.raises(IllegalGenerationError):
        check_commit(empty, metadata(first), transactional=False)
    with pytest.raises(UnknownMemberError):
        check_commit(
            first,
            GroupMetadata(group_id="g", generation_id=1, member_id="x"),
            transactional=False,
        )
    with pytest.raises(IllegalGenerationError):
        check_commit(
            first,
            GroupMetadata(group_id="g", generation_id=9, member_id="one"),
            transactional=False,
        )


def test_who_is_no_member_may_commit_where_the_group_is_empty_or_in_a_transaction() -> None:
    state = joined(GroupState(group="g"), "one")
    check_commit(leave(state, "one", now_ms=6), NOBODY, transactional=False)
    check_commit(state, NOBODY, transactional=True)
    with pytest.raises(UnknownMemberError):
        check_commit(state, NOBODY, transactional=False)


def test_leaving_twice_or_after_a_take_over_changes_nothing() -> None:
    first = joined(GroupState(group="g"), "one")
    second = joined(first, "two")
    assert leave(second, "one", now_ms=6) is second
    empty = leave(first, "one", now_ms=6)
    assert leave(empty, "one", now_ms=7) is empty


def test_the_generation_survives_a_restart_and_the_member_does_not() -> None:
    state = joined(GroupState(group="g"), "one")
    value = decode_group(encode_group(to_value(state)))
    assert decode_assignment(value.members[0].assignment) == IN
    restarted = from_value("g", value)
    assert (restarted.generation, restarted.empty) == (1, True)
