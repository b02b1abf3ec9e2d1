"""What retention chooses, against a model that takes segments away one by one."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streamlog.storage.retention import choose_deletable
from streamlog.storage.topic_config import TopicConfig


@dataclass
class Piece:
    base_offset: int
    size_bytes: int
    newest: int

    def max_timestamp(self) -> int:
        return self.newest


@st.composite
def logs(draw: st.DrawFn) -> list[Piece]:
    pieces: list[Piece] = []
    base = draw(st.integers(0, 5))
    for _ in range(draw(st.integers(1, 7))):
        pieces.append(Piece(base, draw(st.integers(0, 9)), draw(st.integers(0, 30))))
        base += draw(st.integers(1, 4))
    return pieces


def model(
    pieces: list[Piece], config: TopicConfig, start: int, stable: int, now_ms: int
) -> list[Piece]:
    """The segments that are left by each rule alone; the smallest rest counts."""

    def by(may_go) -> list[Piece]:  # type: ignore[no-untyped-def]
        left = list(pieces)
        while len(left) > 1 and left[1].base_offset <= stable and may_go(left):
            left.pop(0)
        return left

    def by_size(left: list[Piece]) -> bool:
        return 0 <= config.retention_bytes <= sum(piece.size_bytes for piece in left[1:])

    def by_time(left: list[Piece]) -> bool:
        return 0 <= config.retention_ms < now_ms - left[0].newest

    rests = [by(lambda left: left[1].base_offset <= start)]
    if config.delete:
        rests += [by(by_size), by(by_time)]
    return min(rests, key=len)


@given(
    pieces=logs(),
    retention_bytes=st.integers(-1, 40),
    retention_ms=st.integers(-1, 40),
    policy=st.sampled_from(["delete", "compact", "both"]),
    start=st.integers(0, 30),
    stable=st.integers(0, 30),
    now_ms=st.integers(0, 60),
)
def test_what_goes_is_what_the_model_takes_away(
    pieces: list[Piece],
    retention_bytes: int,
    retention_ms: int,
    policy: str,
    start: int,
    stable: int,
    now_ms: int,
) -> None:
    policies = {"delete", "compact"} if policy == "both" else {policy}
    config = TopicConfig(
        cleanup_policy=frozenset(policies),
        retention_bytes=retention_bytes,
        retention_ms=retention_ms,
    )
    count = choose_deletable(
        pieces, config, log_start_offset=start, stable_offset=stable, now_ms=now_ms
    )
    assert pieces[count:] == model(pieces, config, start, stable, now_ms)
