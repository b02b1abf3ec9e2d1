"""The word count by agents: one splits lines into words, one counts them in a store.

    streamlog run examples/word_count/agents.py examples/word_count/lines.yaml --until-idle

Agents are for what streams cannot say: awaiting other services, keeping state by hand. What an
event writes and yields is exactly once here as well; the streams of `app.py` are much faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors import App, Keyed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = App("agent-count")
counts = app.store("totals", value=int, default=int)


@app.agent("lines", value=str, to="agent-words", to_value=str)
async def split(lines: AsyncIterator[str]) -> AsyncIterator[Keyed]:
    async for line in lines:
        for word in line.split():
            yield Keyed(word, word)  # under the word as key, so that one task counts it


@app.agent("agent-words", value=str, to="agent-counts", to_value=int)
async def count(words: AsyncIterator[str]) -> AsyncIterator[int]:
    async for word in words:
        counts[word] += 1
        yield counts[word]
