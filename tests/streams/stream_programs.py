"""Random topologies as programs for a stack of streams and tables, and how ours are built.

    [["stream", "A"], ["map", "x"], ["table", "B"], ["join_table", "left"]]

Each word takes what it needs from the stack and puts its result there; what is left at the end is
written to "out". tests/kafka/StreamPrograms.java runs the same words on Kafka Streams, but for the
last three lines. All keys and values are texts.

| word | takes | what |
|---|---|---|
| stream, table, global TOPIC | | a source; every topic has one |
| map X, filter X, flat_map | stream | appends X; drops what contains X; doubles |
| map_key | stream | the first letter of the value becomes the key |
| merge, repartition, to_table | streams | |
| to_stream, table_map X, table_filter X | table | |
| regroup | table | by the first letter of the value, with adder and subtractor |
| count, reduce, aggregate | stream | by key; a count reads n1, n2 |
| window SIZE ADVANCE GRACE, session GAP GRACE, sliding SIZE GRACE | stream | key@[start,end] |
| join_streams KIND BEFORE AFTER GRACE | two streams | |
| join_table, join_global KIND | stream and table | |
| join_tables, join_foreign KIND | two tables | the foreign key is the value's first letter |
| process, dedupe, count_window, window_final, session_final, sliding_final | stream | |
| join_asof GRACE | two streams | |
| suppress TIME, expire TIME, regroup_count | table | |
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from processors import App, CountWindow, Hopping, Session, Sliding

if TYPE_CHECKING:
    from collections.abc import Callable

    from processors.topology.nodes.node import Emit

Word = list[Any]
Row = list[Any]

SOURCES = ("stream", "table", "global")
OUTER = ("inner", "left", "outer")


class Stack(list[Any]):
    """What a program works on. `emit` is how its tables do."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self.emit: Emit = emit


class Composer:
    """Makes one program, of what Kafka Streams answers in the same way.

    `topics` are its sources, with whether nulls may come from them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.words: list[Word] = []
        self.topics: dict[str, bool] = {}
        self.is_ordered = True

    def compose(self, size: int) -> None:
        if self.random.random() < 0.15:
            self._unmatched(size)
        elif self.random.random() < 0.25:
            self._windowed(size - 1)
        elif self.random.random() < 0.5:
            self._table(size - 1)
            self._say("to_stream")
        else:
            self._stream(size)

    def _say(self, *word: Any) -> None:
        self.words.append(list(word))

    def _source(self, kind: str, *, nulls: bool) -> None:
        topic = "ABCDEFGH"[len(self.topics)]
        self.topics[topic] = nulls
        self._say(kind, topic)

    def _pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def _split(self, size: int) -> tuple[int, int]:
        left = self.random.randint(0, max(size - 1, 0))
        return left, max(size - 1 - left, 0)

    def _stream(self, size: int, *, nulls: bool = True) -> None:
        if size <= 0:
            self._source("stream", nulls=nulls)
            return
        words = ["map", "filter", "flat_map", "map_key", "repartition", "merge", "join_streams"]
        if nulls:
            words += ["to_stream", "join_table", "join_table", "join_global"]
        word = self._pick(*words)
        if word in ("merge", "join_streams", "join_table", "join_global"):
            self._binary(word, *self._split(size), nulls=nulls)
        elif word == "to_stream":
            self._table(size - 1)
            self._say(word)
        else:
            self._stream(size - 1, nulls=nulls)
            self._say(word, *(["x", "3"][word == "filter"] if word in ("map", "filter") else ""))

    def _binary(self, word: str, left: int, right: int, *, nulls: bool) -> None:
        self._stream(left, nulls=nulls)
        if word == "join_global":
            self._source("global", nulls=True)
            self._say(word, self._pick("inner", "left"))
        elif word == "join_table":
            self._table(right)
            self._say(word, self._pick("inner", "left"))
        else:
            self._stream(right, nulls=nulls)
            bounds = ("inner", self._pick(3, 5, 12), self._pick(3, 5, 12), self._pick(0, 4))
            self._say(word, *(bounds if word == "join_streams" else ()))

    def _unmatched(self, size: int) -> None:
        """A join that gives what found no match, and nothing with state behind it."""
        self.is_ordered = False
        behind = self.random.randint(0, 2)
        left, right = self._split(size - behind)
        self._stream(left)
        self._stream(right)
        kind, before, after = self._pick("left", "outer"), self._pick(3, 5, 12), self._pick(3, 8)
        self._say("join_streams", kind, before, after, self._pick(0, 4))
        for _ in range(behind):
            word = self._pick("map", "flat_map", "map_key")
            self._say(word, *(["x"] if word == "map" else []))

    def _table(self, size: int, *, olds: bool = False) -> None:
        """A table; where `olds`, of which somebody asks old values.

        There Kafka Streams' aggregate and count give their initial value for the first one of a
        key, as if it had been a result before.
        """
        if size <= 0:
            self._source("table", nulls=True)
            return
        words = ["table_map", "regroup", "to_table", "reduce"]
        words += ["join_tables", "join_tables", "join_foreign"]
        # Elsewhere Kafka Streams' filter may delete what was not there, and ours does not.
        words += ["table_filter"] if size == 1 else []
        word = self._pick(*words, *([] if olds else ["aggregate", "count"]))
        if word.startswith("join"):
            left, right = self._split(size)
            self._table(left, olds=olds or word == "join_foreign")
            self._table(right, olds=olds)
            self._say(word, self._pick(*(OUTER if word == "join_tables" else OUTER[:2])))
        elif word in ("table_map", "table_filter", "regroup"):
            self._table(size - 1, olds=olds or word == "regroup")
            self._say(word, *([] if word == "regroup" else ["y" if word == "table_map" else "2"]))
        else:
            self._stream(size - 1)
            self._say(word)

    def _windowed(self, size: int) -> None:
        self._stream(size, nulls=False)
        word = self._pick("window", "session", "sliding")
        bounds = {
            "window": self._pick((10, 10, 0), (10, 5, 3), (12, 4, 20)),
            # Records later than this might join sessions that are over; Kafka Streams keeps them.
            "session": self._pick((5, 10), (8, 12)),
            "sliding": self._pick((10, 0), (6, 15)),
        }
        self._say(word, *bounds[word])


class AnyComposer(Composer):
    """Of all that ours has, whatever Kafka Streams makes of it."""

    def compose(self, size: int) -> None:
        if self.random.random() < 0.5:
            self._table(size - 1)
            self._say("to_stream")
        else:
            self._stream(size)

    def _stream(self, size: int, *, nulls: bool = True) -> None:
        if size <= 0:
            self._source("stream", nulls=True)
            return
        unary = ("map", "filter", "flat_map", "map_key", "repartition", "process", "dedupe")
        binary = ("merge", "join_streams", "join_asof", "join_table", "join_global")
        words = [*unary, *binary, *binary, "windows", "windows", "windows", "to_stream"]
        word = self._pick(*words)
        if word == "windows":
            self._windowed(size - 1)
        elif word in binary:
            self._binary(word, *self._split(size), nulls=True)
        elif word == "to_stream":
            self._table(size - 1)
            self._say(word)
        else:
            self._stream(size - 1)
            self._say(word, *(["x", "3"][word == "filter"] if word in ("map", "filter") else ""))

    def _binary(self, word: str, left: int, right: int, *, nulls: bool) -> None:
        if word == "join_asof":
            self._stream(left)
            self._stream(right)
            self._say(word, self._pick("inner", "left"), self._pick(0, 5))
        elif word == "join_streams":
            self._stream(left)
            self._stream(right)
            kind = self._pick("inner", "left", "right", "outer")
            self._say(word, kind, self._pick(0, 3, 12), self._pick(0, 5), self._pick(0, 4))
        else:
            super()._binary(word, left, right, nulls=nulls)

    def _windowed(self, size: int) -> None:
        self._stream(size)
        word = self._pick("window", "session", "sliding", "count_window")
        if word == "count_window":
            self._say(word, *self._pick((3, 1), (2, 2)))
            return
        bounds = {
            "window": self._pick((10, 10, 0), (10, 5, 3), (12, 4, 20)),
            "session": self._pick((5, 0), (5, 10), (8, 3)),
            "sliding": self._pick((10, 0), (6, 15)),
        }
        self._say(word + self._pick("", "_final"), *bounds[word])

    def _table(self, size: int, *, olds: bool = False) -> None:
        if size <= 0:
            self._source("table", nulls=True)
            return
        unary = ("table_map", "table_filter", "regroup", "suppress", "expire")
        binary = ("join_tables", "join_foreign")
        word = self._pick(*unary, *binary, *binary, "to_table", "reduce", "aggregate", "count")
        if word in binary:
            left, right = self._split(size)
            self._table(left)
            self._table(right)
            self._say(word, self._pick(*(OUTER if word == "join_tables" else OUTER[:2])))
        elif word in unary:
            self._table(size - 1)
            chosen = {"table_map": "y", "table_filter": "2", "suppress": 6, "expire": 64}
            self._say(word, *([chosen[word]] if word in chosen else []))
        else:
            self._stream(size - 1)
            self._say(word)


class TableComposer(Composer):
    """Of what has one end, however many updates lead there: tables of streams without state."""

    def compose(self, size: int) -> None:
        self._table(size - 1)
        self._say("to_stream")

    def _stream(self, size: int, *, nulls: bool = True) -> None:
        if size <= 0:
            self._source("stream", nulls=True)
            return
        self._stream(size - 1)
        word = self._pick("map", "filter", "flat_map", "map_key", "repartition")
        self._say(word, *(["x", "3"][word == "filter"] if word in ("map", "filter") else ""))

    def _table(self, size: int, *, olds: bool = False) -> None:
        if size <= 0:
            self._source("table", nulls=True)
            return
        unary = ("table_map", "table_filter", "regroup_count")
        binary = ("join_tables", "join_foreign")
        word = self._pick(*unary, *binary, *binary, "to_table", "reduce", "aggregate", "count")
        if word in binary:
            left, right = self._split(size)
            self._table(left)
            self._table(right)
            self._say(word, self._pick(*(OUTER if word == "join_tables" else OUTER[:2])))
        elif word in unary:
            self._table(size - 1)
            chosen = {"table_map": "y", "table_filter": "2"}
            self._say(word, *([chosen[word]] if word in chosen else []))
        else:
            self._stream(size - 1)
            self._say(word)


def make_program(random: Random, composer: type[Composer] = AnyComposer) -> list[Word]:
    """Of up to six words beside its sources."""
    made = composer(random)
    made.compose(random.randint(1, 6))
    return made.words


def make_input(random: Random, program: list[Word], count: int = 40) -> list[Row]:
    """Topic, key, value and timestamp: nulls among keys and values, times that jump back."""
    topics = [arguments[0] for word, *arguments in program if word in SOURCES]
    inputs: list[Row] = []
    now = 0
    for number in range(count):
        now += random.choice((0, 0, 1, 3, 7))
        key = None if random.random() < 0.08 else random.choice("abcd")
        value = None if random.random() < 0.15 else random.choice("abc") + str(number)
        late = random.choice((0, 0, 0, 2, 9, 30))
        inputs.append([random.choice(topics), key, value, max(0, now - late)])
    return inputs


def make_scenario(seed: int) -> dict[str, Any]:
    """A program of up to six words beside its sources, and about forty records for it.

    `ordered` is False where Kafka Streams gives unmatched rows later than their time: its scan
    for them takes the time of whichever row it has seen last for the earliest that waits. There
    records come in order, as others could still be matched meanwhile.
    """
    random = Random(seed)
    composer = Composer(random)
    composer.compose(random.randint(1, 6))
    inputs: list[Row] = []
    now = 0
    for number in range(40):
        topic = random.choice(list(composer.topics))
        now += random.choice((0, 0, 1, 3, 7))
        value = random.choice("abc") + str(number)
        if composer.topics[topic] and random.random() < 0.15:
            value = None
        late = random.choice((0, 0, 0, 2, 9)) if composer.is_ordered else 0
        timestamp = max(0, now - late)
        inputs.append([topic, random.choice("abcd"), value, timestamp])
    if not composer.is_ordered:
        inputs += [[topic, "z", "z", now + far] for far in (100, 200) for topic in composer.topics]
    return {
        "name": f"program-{seed}",
        "program": composer.words,
        "inputs": inputs,
        "ordered": composer.is_ordered,
    }


def build(
    program: list[Word], name: str = "programs", *, emit: Emit = "every", **options: Any
) -> App:
    """Our application for a program; its last stream goes to "out"."""
    app = App(name, **options)
    stack = Stack(emit)
    for word, *arguments in program:
        stack.append(_WORDS[word](app, stack, *arguments))
    (result,) = stack
    result.to("out", key=str, value=str)
    return app


def pair(left: str | None, right: str | None) -> str:
    return f"{'null' if left is None else left}-{'null' if right is None else right}"


def append(text: str) -> Callable[[Any], Any]:
    return lambda value: None if value is None else value + text


def lacks(text: str) -> Callable[[Any], Any]:
    return lambda value: value is None or text not in value


def first(value: Any) -> Any:
    return None if value is None else value[:1]


def _join(_: App, stack: Stack, kind: str, **options: Any) -> Any:
    right, left = stack.pop(), stack.pop()
    return left.join(right, pair, how=kind, **options)


def _asof(stack: Stack, kind: str, grace: int) -> Any:
    right, left = stack.pop(), stack.pop()
    return left.join_asof(right, pair, how=kind, grace=grace)


def _join_streams(_: App, stack: Stack, kind: str, before: int, after: int, grace: int) -> Any:
    return _join(_, stack, kind, before=before, after=after, grace=grace)


def _merge(_: App, stack: Stack) -> Any:
    second, one = stack.pop(), stack.pop()
    return one.merge(second)


def _regroup(_: App, stack: Stack) -> Any:
    grouped = (
        stack.pop()
        .items()
        .group_by(lambda item: item[1][:1], select=lambda item: item[0] + item[1][1:], value=str)
    )
    return grouped.aggregate(
        str,
        lambda so_far, v: f"{so_far}+{v}",
        remove=lambda so_far, v: f"{so_far}-{v}",
        value=str,
        emit=stack.emit,
    )


def _regroup_count(_: App, stack: Stack) -> Any:
    """A group that has become empty counts 0, which one that never was does not."""
    counts = stack.pop().group_by(first).count(emit=stack.emit)
    return counts.filter(lambda count: count > 0).map(lambda count: f"n{count}", value=str)


def _process(app: App, stack: Stack) -> Any:
    """Gives each value with the letters before it, which it keeps by key."""
    name = f"seen-{len(app._graph.nodes)}"

    def remember(row: Any, context: Any) -> Any:
        store = context.store(name)
        seen = store.get(str(row.key), "")
        store.put(str(row.key), seen[-5:] + (row.value or "-")[0])
        yield row.key, f"{row.value}/{seen}"

    stores = [app.state_store(name, value=str)]
    return stack.pop().process(remember, stores=stores, value=str)


def _windowed(stack: Stack, window: Any, *, final: bool = False) -> Any:
    grouped = stack.pop().group_by_key(value=str).windowed_by(window)
    emit = "final" if final else stack.emit
    merge = None if isinstance(window, CountWindow) else concatenate
    table = grouped.aggregate(str, concatenate, merge=merge, value=str, emit=emit)
    named = table.to_stream().items().map_key(lambda item: name_of(item[0]))
    return named.map(lambda item: item[1])


def name_of(window: Any) -> str:
    return f"{window.key}@[{window.start},{window.end}]"


def concatenate(one: str, other: str) -> str:
    return one + other


_WORDS: dict[str, Callable[..., Any]] = {
    "stream": lambda app, _, topic: app.stream(topic, value=str),
    "table": lambda app, stack, topic: app.table(topic, value=str, emit=stack.emit),
    "global": lambda app, _, topic: app.global_table(topic, value=str),
    "map": lambda _, stack, text: stack.pop().map(append(text)),
    "filter": lambda _, stack, text: stack.pop().filter(lacks(text)),
    "flat_map": lambda _, stack: stack.pop().flat_map(
        lambda value: [] if value is None else [value + "a", value + "b"]
    ),
    "map_key": lambda _, stack: stack.pop().map_key(first),
    "merge": _merge,
    "repartition": lambda _, stack: stack.pop().repartition(value=str),
    "to_stream": lambda _, stack: stack.pop().to_stream(),
    "to_table": lambda _, stack: stack.pop().to_table(value=str, emit=stack.emit),
    "table_map": lambda _, stack, text: stack.pop().map(append(text)),
    "table_filter": lambda _, stack, text: stack.pop().filter(lambda value: text not in value),
    "regroup": _regroup,
    "count": lambda _, stack: (
        stack.pop()
        .group_by_key(value=str)
        .count(emit=stack.emit)
        .map(lambda count: None if count is None else f"n{count}")
    ),
    "reduce": lambda _, stack: (
        stack.pop().group_by_key(value=str).reduce(concatenate, value=str, emit=stack.emit)
    ),
    "aggregate": lambda _, stack: (
        stack.pop().group_by_key(value=str).aggregate(str, concatenate, value=str, emit=stack.emit)
    ),
    "window": lambda _, stack, size, advance, grace: _windowed(
        stack, Hopping(size, advance=advance, grace=grace)
    ),
    "session": lambda _, stack, gap, grace: _windowed(stack, Session(gap, grace=grace)),
    "sliding": lambda _, stack, size, grace: _windowed(stack, Sliding(size, grace=grace)),
    "window_final": lambda _, stack, size, advance, grace: _windowed(
        stack, Hopping(size, advance=advance, grace=grace), final=True
    ),
    "session_final": lambda _, stack, gap, grace: _windowed(
        stack, Session(gap, grace=grace), final=True
    ),
    "sliding_final": lambda _, stack, size, grace: _windowed(
        stack, Sliding(size, grace=grace), final=True
    ),
    "count_window": lambda _, stack, size, advance: _windowed(
        stack, CountWindow(size, advance=advance)
    ),
    "process": _process,
    "dedupe": lambda _, stack: stack.pop().dedupe(
        lambda value: str(first(value)), within=10, identity=str
    ),
    "join_asof": lambda _, stack, kind, grace: _asof(stack, kind, grace),
    "suppress": lambda _, stack, time: stack.pop().suppress(time),
    "expire": lambda _, stack, time: stack.pop().expire(time),
    "regroup_count": _regroup_count,
    "join_streams": _join_streams,
    "join_table": _join,
    "join_global": lambda _, stack, kind: _join(_, stack, kind, key=first),
    "join_tables": _join,
    "join_foreign": lambda _, stack, kind: _join(_, stack, kind, foreign_key=first),
}
