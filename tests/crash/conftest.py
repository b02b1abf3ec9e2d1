"""Sweeps: a workload runs once, and then the power is cut after each of its operations.

    pytest tests/crash --all-cuts -n 2

makes every cut there is, in two processes, and says at the end how many there were. Without the
option each sweep makes a share of its own, chosen by hash.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from streamlog.testing import Cut, FaultyFiles, choose_cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    T = TypeVar("T")


class Sweep:
    """Makes the cuts of one test and counts them; an error is told behind which it came."""

    def __init__(self, *, everything: bool) -> None:
        self.everything = everything
        self.made = 0

    def cut(
        self,
        files: FaultyFiles,
        check: Callable[[FaultyFiles, Cut], None],
        *,
        in_ci: int,
        seed: str = "",
        share: int = 0,
        shares: int = 1,
    ) -> None:
        """Checks what is left of the files after each cut, or after `in_ci` of them.

        Every `shares`th of these is made, from the one at `share` on.
        """
        count = None if self.everything else in_ci
        cuts = choose_cuts(len(files.operations), count=count, seed=seed)
        self.make(files, cuts[share::shares], check)

    def make(
        self, files: FaultyFiles, cuts: Iterable[Cut], check: Callable[[FaultyFiles, Cut], None]
    ) -> None:
        """Checks what is left after these cuts."""
        for cut in cuts:
            with self._told(cut, "after", files.operations[cut.after - 1]):
                check(files.cut(cut), cut)

    def cut_twice(
        self,
        files: FaultyFiles,
        recover: Callable[[FaultyFiles], T],
        check: Callable[[FaultyFiles, Cut], None],
        *,
        in_ci: int,
        seed: str,
        again: int = 2,
        behind: Callable[[FaultyFiles, T], None] = lambda survivors, recovered: None,
    ) -> None:
        """Cuts again, `again` times, while what is left of the first cut is recovered.

        `check` gets the second one's survivors, but the first cut: what had been noted before that
        counts. `behind` gets those of the first cut, and what `recover` has returned.
        """
        count = None if self.everything else in_ci
        for first in choose_cuts(len(files.operations), count=count, seed=seed):
            survivors = files.cut(first)
            recovered = recover(survivors)
            for second in choose_cuts(len(survivors.operations), count=again, seed=f"{first}"):
                with self._told(first, "then", second):
                    check(survivors.cut(second), first)
            behind(survivors, recovered)

    def fail(
        self,
        files: FaultyFiles,
        kind: str,
        check: Callable[[FaultyFiles, int], None],
        *,
        in_ci: int,
        error: int,
    ) -> None:
        """Lets each operation of a kind fail, or about `in_ci` of them.

        `files` are those of a run without a failure; `check` gets new ones, and which operation it
        is that fails there.
        """
        count = sum(operation.kind == kind for operation in files.operations)
        step = 1 if self.everything else max(1, count // in_ci)
        for place in range(0, count, step):
            failing = FaultyFiles()
            failing.fail(kind, after=place, error=error)
            with self._told(kind, place, "of", count, "failed"):
                check(failing, place)

    @contextmanager
    def _told(self, *where: object) -> Iterator[None]:
        self.made += 1
        try:
            yield
        except BaseException as error:
            error.add_note(" ".join(f"{each!s:.200}" for each in where))
            raise


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> Iterator[Sweep]:
    made = Sweep(everything=request.config.getoption("--all-cuts"))
    yield made
    request.node.user_properties.append(("cuts", made.made))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All cuts of a sweep take longer than a test may."""
    if config.getoption("--all-cuts"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(0))
