"""Counts words: lines in, the latest count of each word out, exactly once."""

from __future__ import annotations

from processors import App

app = App("word-count")

(
    app.stream("lines", value=str)
    .flat_map(str.split)
    .group_by(lambda word: word, name="words")
    .count(name="counts")
    .to_stream()
    .to("word-counts")
)
