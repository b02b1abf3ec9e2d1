"""Several operators, one after the other, as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.operators.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.operators.chunk import Chunk


class Chain(Operator):
    """Runs rows through operators that give rows for rows, and nothing at a commit."""

    def __init__(self, path: str, operators: Sequence[Operator]) -> None:
        super().__init__(path)
        self.operators = operators

    def process(self, chunk: Chunk) -> Chunk:
        for operator in self.operators:
            if not len(chunk):
                break
            chunk = operator.process(chunk)
        return chunk
