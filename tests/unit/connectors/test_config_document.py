"""A connector's file: what it may say, and all its faults at once, each in its place."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.config.document import SinkDocument, SourceDocument, read_document
from connectors.config.faults import ConfigError, Fault
from connectors.config.scalars import DurationMs, SizeBytes
from connectors.errors import PluginError


@dataclass(frozen=True, kw_only=True)
class KeyField:
    field: str


@dataclass(frozen=True, kw_only=True)
class SlotConfig:
    slot: str
    tables: list[str]
    poll_every: DurationMs = 5_000
    batch: SizeBytes = 1_000
    rate: float = 1.0
    retries: int = 3
    snapshot: bool = True
    mode: Literal["initial", "never"] = "initial"
    key: Literal["none", "row"] | KeyField = "none"
    labels: dict[str, int] | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.retries > 10:
            yield "retries", "more than 10 are of no use"


@dataclass
class Shape:
    config: type[Any] | None
    encoded: bool


class Catalog:
    """Sources: an ordinary one, one that writes bytes, one that does not load. And one sink."""

    def names(self, kind: Literal["source", "sink"]) -> list[str]:
        return {"source": ["slots", "bytes", "broken"], "sink": ["null"]}[kind]

    def plugin(self, kind: Literal["source", "sink"], name: str) -> Shape:
        if name == "broken":
            raise PluginError(name, "needs an extra: pip install 'streamlog[slots]'")
        return Shape(SlotConfig if name == "slots" else None, name == "bytes")


def read(tmp_path: Path, text: str, **environment: str) -> SourceDocument | SinkDocument:
    path = tmp_path / "c.yaml"
    path.write_text(dedent(text), newline="")
    return read_document(path, Catalog(), environment)


def faults(tmp_path: Path, text: str, **environment: str) -> list[str]:
    """`line:column: path: message` of every fault."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **environment)
    prefix = f"{tmp_path / 'c.yaml'}:"
    return [str(fault).splitlines()[0].removeprefix(prefix) for fault in caught.value.faults]


SOURCE = """\
    name: orders
    source:
      slots:
        slot: s1
        tables: [public.orders]
    to: {topic: orders}
    """


def with_slots(more: str) -> str:
    """A whole file; `more` is line 7."""
    return f"""\
        name: orders
        to: {{topic: orders}}
        source:
          slots:
            slot: s1
            tables: []
            {more}
        """


def test_a_source_has_its_defaults(tmp_path: Path) -> None:
    document = read(tmp_path, SOURCE)
    assert isinstance(document, SourceDocument)
    assert document.name == "orders"
    assert document.source.name == "slots"
    assert document.source.config == SlotConfig(slot="s1", tables=["public.orders"])
    assert (document.to.topic, document.to.key, document.to.value) == ("orders", "str", "json")
    assert document.to.create is None
    assert document.errors.tolerate == "none"
    assert (document.commit.size_bytes, document.commit.age_ms) == (8_000_000, 500)


def test_a_source_says_everything(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        """\
        name: on
        source:
          slots: {slot: 7, tables: ["${T}", b], poll_every: 1m30s, batch: 1MiB, rate: 2.5,
                  retries: "${R}", snapshot: no, mode: never, key: {field: id}, labels: {a: 1}}
        to: {topic: orders, key: bytes, value: str, create: {partitions: 4, config: {a.b: c}}}
        errors: {tolerate: all, dead_letter: d, retry: {for: 1h, initial_delay: 1s, max_delay: 2s}}
        commit: {bytes: 64KB, age: 2s}
        """,
        T="a",
        R="9",
    )
    assert isinstance(document, SourceDocument)
    assert document.name == "on"
    assert document.source.config == SlotConfig(
        slot="7",
        tables=["a", "b"],
        poll_every=90_000,
        batch=1 << 20,
        rate=2.5,
        retries=9,
        snapshot=False,
        mode="never",
        key=KeyField(field="id"),
        labels={"a": 1},
    )
    assert document.to.create is not None
    assert document.to.create.partitions == 4
    assert document.to.create.config == {"a.b": "c"}
    assert document.errors.retry.for_ms == 3_600_000
    assert document.commit.size_bytes == 64_000


def test_a_sink_may_name_a_plugin_without_configuration(tmp_path: Path) -> None:
    document = read(tmp_path, "name: out\nfrom: {topics: [a, b], value: int}\nsink: 'null'\n")
    assert isinstance(document, SinkDocument)
    assert document.sink.name == "null"
    assert (document.from_.topics, document.from_.value) == (["a", "b"], "int")


def test_five_faults_are_five_reports_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
        name: orders
        source:
          slots:
            slotname: s1
            tables: public.orders
            poll_every: 5 x
        to:
          topic: "${TOPIC}"
          create: {partitions: four}
        """
    assert faults(tmp_path, text) == [
        "4:5: source.slots.slotname: unknown field 'slotname' (did you mean 'slot'?)",
        "5:13: source.slots.tables: expected a list, got 'public.orders'; write [public.orders]",
        "6:17: source.slots.poll_every: expected a duration such as 500ms, 5s or 10m, got '5 x'",
        (
            "8:11: to.topic: environment variable TOPIC is not set"
            " (write ${TOPIC:-default} to give one)"
        ),
        "9:24: to.create.partitions: expected a whole number from 1 up, got 'four'",
    ]


def test_a_fault_shows_its_line_and_a_caret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, with_slots("mode: allways"))
    file = tmp_path / "c.yaml"
    assert str(caught.value) == (
        f"{file}:7:11: source.slots.mode: expected one of initial, never, got 'allways'\n"
        "   |     mode: allways\n"
        "   |           ^"
    )


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("slot: s2", "7:5: source.slots.slot: 'slot' is given twice, first in line 5"),
        ("retries: 2.5", "7:14: source.slots.retries: expected a whole number, got '2.5'"),
        ('retries: "2"', "7:14: source.slots.retries: expected a whole number, got the text '2'"),
        ("retries: 11", "7:14: source.slots.retries: more than 10 are of no use"),
        ("snapshot: maybe", "7:15: source.slots.snapshot: expected true or false, got 'maybe'"),
        ("rate: [1]", "7:11: source.slots.rate: expected a number, got a list"),
        ("batch: 1XB", "7:12: source.slots.batch: expected a size such as 64KB or 1MB, got '1XB'"),
        (
            "mode: initail",
            (
                "7:11: source.slots.mode: expected one of initial, never, got 'initail'"
                " (did you mean 'initial'?)"
            ),
        ),
        ("labels: [a]", "7:13: source.slots.labels: expected a mapping, got a list"),
        ("labels: {a: b}", "7:17: source.slots.labels.a: expected a whole number, got 'b'"),
        ("key: {}", "7:10: source.slots.key.field: is required"),
        ("key: {feild: id}", "7:11: source.slots.key.feild: unknown field 'feild' (did you mean"),
        ("key: rows", "7:10: source.slots.key: expected one of none, row, got 'rows'"),
        ("mode: !!python/object:os.system {}", "7:11: source.slots.mode: expected one of"),
        ("mode: !thing x", "7:11: source.slots.mode: tags such as '!thing' are not supported"),
        ("mode: &a [*a]", "7:11: source.slots.mode[0]: an alias within its own anchor"),
        ("? [a]\n            : b", "7:7: source.slots: a field's name must be a text"),
        ("mode: [", "8:1: not YAML: while parsing a flow node"),
        ("\tmode: x", "7:5: not YAML: while scanning for the next token"),
        ("mode: *gone", "7:11: not YAML: found undefined alias 'gone'"),
        ("mode: a\x01b", "7:12: not YAML: special characters are not allowed"),
        ("a: b\n---\nc: d", "8:1: not YAML: expected a single document"),
    ],
)
def test_each_fault_names_its_place(tmp_path: Path, more: str, fault: str) -> None:
    assert any(found.startswith(fault) for found in faults(tmp_path, with_slots(more))), faults(
        tmp_path, with_slots(more)
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: the file is empty"),
        ("- a", "1:1: expected a mapping, got a list"),
        ("name: a", "1:1: a connector has 'source:' or 'sink:'; this has none"),
        ("name: a/b\nsink: 'null'\nfrom: {topics: [a]}", "1:7: name: 'a/b' is no name"),
        ("sink: 'null'\nfrom: {topics: [a]}", "1:1: name: is required"),
        ("name: a\nsink: 'null'", "2:1: from: is required beside 'sink:'"),
        ("name: a\nsink: 'null'\nfrom: {topics: []}", "3:16: from.topics: name at least one"),
        ("name: a\nsink: 'null'\nfrom: {topics: [a, a]}", "3:16: from.topics: a topic is named"),
        ("name: a\nsink: 'null'\nfrom: {topics: [a, b/c]}", "3:20: from.topics[1]: 'b/c' is no"),
        (
            "name: a\nto: {topic: t, create: {partitions: 100001}}\nsource: bytes",
            "2:37: to.create.partitions: must be 100000 or less",
        ),
        ("name: a\nto: {topic: ..}\nsource: bytes", "2:13: to.topic: '..' is no topic's name"),
        (f"name: a\nto: {{topic: {'x' * 250}}}\nsource: bytes", "2:13: to.topic: 'xxx"),
        ("name: a\nerrors: {dead_letter: a b}", "2:23: errors.dead_letter: 'a b' is no topic's"),
        ("name: a\nsink: nul\nfrom: {topics: [a]}", "2:7: sink.nul: unknown sink 'nul'"),
        ("name: a\nsource: {slos: {}}\nto: {topic: t}", "2:10: source.slos: unknown source"),
        ("name: a\nsource: {broken: {}}\nto: {topic: t}", "2:10: source.broken: connector"),
        ("name: a\nsource: [slots]\nto: {topic: t}", "2:9: source: expected one connector's"),
        ("name: a\nsource: {a: , b: }\nto: {topic: t}", "2:9: source: expected one connector, got"),
        ("name: a\nsink: 'null'\nto: {topic: t}", "3:1: to: a sink has 'from:', not 'to:'"),
        ("name: a\nsnik: 'null'", "2:1: snik: unknown field 'snik' (did you mean 'sink'?)"),
        ("name: a\nsink: 'null'\nsource: 'x'", "2:1: sink: one file is one connector"),
        (
            "name: a\nto: {topic: t, value: int}\nsource: bytes",
            "2:16: to.value: the source 'bytes'",
        ),
        ("name: a\nsource: 'x'\ntoo: {topic: t}", "3:1: too: unknown field 'too' (did you mean"),
        ("name: a\nerrors: {dead_letter: d}\nsink: 'null'", "2:23: errors.dead_letter: has no"),
        ("name: a\nto: {topic: t, value: jsn}\nsource: x", "2:23: to.value: expected one of str"),
    ],
)
def test_each_fault_of_the_whole_is_named(tmp_path: Path, text: str, fault: str) -> None:
    found = faults(tmp_path, text)
    assert any(line.startswith(fault) for line in found), found


def test_an_unknown_plugin_gets_the_near_miss_and_the_list(tmp_path: Path) -> None:
    found = faults(tmp_path, "name: a\nsource: {slos: {}}\nto: {topic: t}")
    assert found == [
        (
            "2:10: source.slos: unknown source 'slos' (did you mean 'slots'?);"
            " installed: broken, bytes, slots"
        )
    ]


def test_one_mistake_is_one_fault(tmp_path: Path) -> None:
    """A misspelt field is not missing too, and a value that is not there is of no wrong type."""
    misspelt = "name: a\nsorce: {slots: {slot: s, tables: []}}\ntoo: {topic: t}\n"
    assert [fault[:9] for fault in faults(tmp_path, misspelt)] == ["2:1: sorc", "3:1: too:"]
    unset = with_slots("retries: ${GONE}\n            mode: ${GONE}\n            labels: ${GONE}")
    found = faults(tmp_path, unset)
    assert [fault.partition(" is not set")[0][-13:] for fault in found] == ["variable GONE"] * 3


def test_the_whole_is_looked_at_though_a_part_is_wrong(tmp_path: Path) -> None:
    found = faults(tmp_path, with_slots("retries: 11\n            rate: fast"))
    assert found == [
        "7:14: source.slots.retries: more than 10 are of no use",
        "8:11: source.slots.rate: expected a number, got 'fast'",
    ]


def test_a_file_that_is_not_utf_8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"name: a\nsink: \xff\n")
    with pytest.raises(ConfigError, match=":2:1: byte 14 is not UTF-8"):
        read_document(path, Catalog(), {})


def test_deep_nesting_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "a: " + "[" * 5_000) == ["1:1: nested too deeply"]


FRAGMENTS = [
    *("name:", "source:", "sink:", "to:", "from:", "slots:", "null", "topic", "topics:", "errors:"),
    *(" a", ": ", "\n", "\n  ", "\n    ", "- ", "{", "}", "[", "]", ",", "'", '"', "&x ", "*x"),
    *("${A}", "${", "!t ", "|", ">", "#", "?", "\t", "\r", "\u2028", "\x00", "\ufeff", "~", "---"),
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    class Memory(type(Path())):  # a path whose bytes are the example's
        def read_bytes(self) -> bytes:
            return text.encode()

    faults: list[Fault] = []
    try:
        read_document(Memory("c.yaml"), Catalog(), {})
    except ConfigError as error:
        faults = error.faults
    assert all(fault.place >= (1, 1) for fault in faults)
