"""From the arguments of `streamlog run` to targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streamlog.cli.running.loading import load_targets
from streamlog.errors import TargetError
from streamlog.targets import RunContext, TargetStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.targets import Target


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, context: RunContext) -> None: ...

    def request_stop(self, *, at_once: bool = False, drain: bool = False) -> None: ...

    def status(self) -> TargetStatus:
        return TargetStatus(kind="app", state="stopped")

    def top(self, count: int) -> Sequence[tuple[str, Any]] | None: ...


def load_python(spec: str) -> list[Target] | None:
    return [Named(spec.removesuffix(".py"))] if spec.endswith(".py") else None


def load_yaml(spec: str) -> list[Target] | None:
    return [Named(f"{spec}-{number}") for number in range(2)] if spec.endswith(".yaml") else None


LOADERS = {"python": load_python, "yaml": load_yaml}


def test_each_argument_goes_to_the_loader_of_its_kind() -> None:
    names = [target.name for target in load_targets(["a.yaml", "b.py"], LOADERS)]
    assert names == ["a.yaml-0", "a.yaml-1", "b"]


def test_an_argument_of_no_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(TargetError, match=r"^a\.toml: no kind of target: .*python, yaml"):
        load_targets(["a.toml"], LOADERS)


def test_two_targets_of_one_name_are_refused_with_both_origins() -> None:
    with pytest.raises(TargetError, match=r"^a\.py: .*'a' is already there, from a\.py"):
        load_targets(["a.py", "a.py"], LOADERS)
