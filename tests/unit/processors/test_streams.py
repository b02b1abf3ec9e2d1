"""What an application written with the streams does, seen through the driver."""

from __future__ import annotations

from typing import Any

import pytest

from processors import App
from processors.errors import ProductionError, TopologyError
from processors.testing import TopologyTestDriver


def test_serdes_go_along_until_a_function_makes_new_values() -> None:
    app = App("a")
    stream = app.stream("in", key=int, value=bytes)
    stream.filter(bool).to("same")
    stream.map(len).to("made")
    driver = TopologyTestDriver(app).run("in", [(7, b"abc")])
    assert driver.items("same") == [(7, b"abc")]
    assert driver.items("made") == [(7, 3)]
    driver.run("in", [(7, b"ab")])
    assert driver.records("made", key=bytes, value=bytes)[0].value == b"2"


def test_a_key_that_is_no_str_names_the_operator_and_the_remedy() -> None:
    app = App("a")
    app.stream("in", value=int).group_by(lambda n: n % 2).count()
    with pytest.raises(ProductionError) as caught:
        TopologyTestDriver(app).run("in", [1])
    message = str(caught.value)
    assert message.startswith("in.group_by: ")
    assert "group_by takes another serde as key=" in message
    app = App("a")
    app.stream("in", value=int).map_key(lambda n: n).to("out")
    with pytest.raises(ProductionError, match=r"to\('out'\) takes another serde as key="):
        TopologyTestDriver(app).run("in", [1])


def test_keys_of_another_kind_have_their_serde() -> None:
    app = App("a")
    counts = app.stream("in", value=int).group_by(lambda n: n % 2, key=int).count()
    counts.to_stream().to("out")
    assert TopologyTestDriver(app).run("in", [1, 2, 3]).items("out") == [(1, 1), (0, 1), (1, 2)]


def test_merged_streams_keep_the_order_of_time() -> None:
    app = App("a")
    app.stream("l", value=str).merge(app.stream("r", value=str)).to("out")
    driver = TopologyTestDriver(app, commit_every=4, order="timestamps")
    driver.pipe("l", "l3", timestamp=3)
    driver.pipe("l", "l9", timestamp=9)
    driver.pipe("r", "r1", timestamp=1)
    driver.pipe("r", "r3", timestamp=3)
    assert driver.values("out") == ["r1", "l3", "r3", "l9"]


def test_branches_of_one_stream_merge_record_by_record() -> None:
    app = App("a")
    numbers = app.stream("in", value=int)
    doubled = numbers.map(lambda n: n * 2)
    numbers.merge(doubled).map(lambda n: n).to("out", value=int)
    driver = TopologyTestDriver(app, commit_every=3).run("in", [1, 2, 3])
    assert driver.values("out") == [1, 2, 2, 4, 3, 6]


def test_two_sinks_of_one_topic_write_record_by_record() -> None:
    app = App("a")
    numbers = app.stream("in", value=int)
    numbers.to("out")
    numbers.filter(lambda n: n > 1).map(lambda n: -n).to("out", value=int)
    driver = TopologyTestDriver(app, commit_every=3).run("in", [1, 2, 3])
    assert driver.values("out") == [1, 2, -2, 3, -3]


def test_a_filter_that_drops_everything_holds_nothing_up() -> None:
    app = App("a")
    dropped = app.stream("l", value=str).filter(lambda value: False)
    dropped.merge(app.stream("r", value=str)).group_by(str.lower).count().to_stream().to("out")
    driver = TopologyTestDriver(app, partitions=4, commit_every=4)
    driver.run("l", ["x"] * 4)
    assert driver.items("out") == []
    driver.run("r", ["A", "a", "b", "A"])
    assert dict(driver.items("out")) == {"a": 3, "b": 1}


def test_counts_of_counts_flush_down_in_one_commit() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by(lambda word: word).count(name="words")
    frequencies = counts.to_stream().group_by(str).count(name="frequencies")
    frequencies.to_stream().to("out")
    driver = TopologyTestDriver(app, partitions=4, commit_every=6)
    driver.run("in", ["a", "b", "a", "c", "b", "a"])
    assert driver.map("out") == {"3": 1, "2": 1, "1": 1}
    assert dict(driver.store("frequencies").items()) == {"3": 1, "2": 1, "1": 1}


def test_aggregates_of_one_task_flush_down_in_one_commit() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by_key().count(name="first")
    counts.to_stream().group_by_key().reduce(max, name="second").to_stream().to("out")
    driver = TopologyTestDriver(app, commit_every=3).run("in", [("a", ""), ("b", ""), ("a", "")])
    assert driver.items("out") == [("a", 2), ("b", 1)]


def test_a_mutable_value_is_not_shared_with_the_other_task() -> None:
    app = App("a")
    orders = app.stream("in")
    orders.group_by(lambda order: "all").reduce(lambda old, new: new, name="last")

    def spoil(order: dict[str, Any]) -> dict[str, Any]:
        order["n"] = -1
        return order

    orders.map(spoil).to("spoiled")
    driver = TopologyTestDriver(app, commit_every=2).run("in", [{"n": 1}, {"n": 2}])
    assert driver.store("last")["all"] == {"n": 2}


def test_an_exchange_may_have_more_partitions_than_the_input() -> None:
    app = App("a")
    counts = app.stream("in", value=int).group_by(lambda n: str(n % 10), partitions=5).count()
    counts.to_stream().to("out", partitions=2)
    driver = TopologyTestDriver(app, partitions=2, commit_every=100)
    driver.run("in", range(100))
    assert driver.map("out") == {str(n): 10 for n in range(10)}


def test_records_show_where_a_row_came_from() -> None:
    app = App("a")
    records = app.stream("in", value=str).records()
    records.map(lambda r: [r.topic, r.partition, r.offset, r.timestamp, r.key, r.value]).to("out")
    driver = TopologyTestDriver(app, partitions=2, commit_every=3)
    driver.pipe("in", "a", key="k", timestamp=5, partition=1)
    driver.pipe("in", "b", timestamp=6, partition=0)
    driver.pipe("in", "c", timestamp=7, partition=1)
    assert driver.values("out") == [
        ["in", 1, 0, 5, "k", "a"], ["in", 0, 0, 6, None, "b"], ["in", 1, 1, 7, None, "c"],
    ]  # fmt: skip


def test_records_of_a_table_are_refused() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by_key().count()
    with pytest.raises(TopologyError, match=r"use records\(\) on the source"):
        counts.to_stream().map(str).records()


def test_headers_come_through_an_exchange_where_every_row_emits() -> None:
    app = App("a")
    counts = app.stream("in", value=str).group_by(str.lower).count(emit="every")
    counts.to_stream().map(str).to("out", value=str)
    driver = TopologyTestDriver(app, partitions=2)
    driver.pipe("in", "A", headers=[("h", b"1")])
    driver.pipe("in", "a")
    assert [record.headers for record in driver.records("out")] == [[("h", b"1")], []]


def test_a_null_value_reaches_functions_and_sinks_and_no_aggregate() -> None:
    app = App("a")
    stream = app.stream("in", value=str)
    stream.map(lambda value: value is None).to("nulls", value="json")
    stream.group_by_key().count().to_stream().to("counts")
    stream.to("copy")
    driver = TopologyTestDriver(app).run("in", [("a", None), ("a", "x"), (None, "y")])
    assert driver.values("nulls") == [True, False, False]
    assert driver.items("counts") == [("a", 1)]
    assert driver.items("copy") == [("a", None), ("a", "x"), (None, "y")]


def test_streams_of_two_applications_do_not_merge() -> None:
    with pytest.raises(TopologyError, match="belongs to another App"):
        App("a").stream("in").merge(App("b").stream("in"))


def test_streams_with_keys_of_two_kinds_do_not_merge() -> None:
    app = App("a")
    with pytest.raises(TopologyError, match="keys are str here and int in r; give all streams"):
        app.stream("l").merge(app.stream("m"), app.stream("r", key=int))


def test_a_merge_names_a_stream() -> None:
    with pytest.raises(TopologyError, match=r"in\.merge: merge with at least one stream"):
        App("a").stream("in").merge()


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
@pytest.mark.parametrize("exchange", ["memory", "topic"])
def test_several_merge_as_one_after_the_other(chunk_size: int, exchange: Any) -> None:
    def run(merge: Any) -> list[Any]:
        app = App("a")
        one, two, three = (app.stream(topic, value=str) for topic in ("1", "2", "3"))
        merged = merge(one, two.map(str.upper), three.filter(bool), one.map(lambda v: v * 2))
        merged.group_by_key().reduce(lambda a, b: a + b, emit="every").to_stream().to("out")
        driver = TopologyTestDriver(
            app,
            partitions=2,
            commit_every=9,
            chunk_size=chunk_size,
            exchange=exchange,
            order="timestamps",
        )
        for time, topic in enumerate("132213312"):
            driver.pipe(topic, f"{topic}{time}", key="ab"[time % 2], timestamp=time // 2)
        driver.commit()
        return driver.items("out")

    found = run(lambda first, *others: first.merge(*others))
    assert found == run(lambda a, b, c, d: a.merge(b).merge(c).merge(d))
    assert len(found) == 12


def test_values_of_several_keep_their_serde_where_all_have_one() -> None:
    app = App("a")
    one, two = app.stream("1", value=str), app.stream("2", value=str)
    one.merge(two, name="alike").to("texts")
    one.merge(two, app.stream("3", value=int), name="mixed").to("objects")
    one.merge(two.map(str.upper), name="made").to("made-of")
    serdes = {sink.path: sink.value.name for sink in app.plan().topology.sinks}
    assert serdes == {
        "alike.to.texts": "str",
        "mixed.to.objects": "json",
        "made.to.made-of": "json",
    }


@pytest.mark.parametrize("initial", [{"seen": []}, lambda: {"seen": []}])
def test_every_key_starts_with_an_initial_value_of_its_own(initial: Any) -> None:
    def see(result: dict[str, list[str]], page: str) -> dict[str, list[str]]:
        result["seen"].append(page)
        return result

    app = App("a")
    app.stream("in", value=str).group_by_key().aggregate(initial, see).to_stream().to("out")
    driver = TopologyTestDriver(app).run("in", [("a", "1"), ("b", "2"), ("a", "3")])
    assert driver.map("out") == {"a": {"seen": ["1", "3"]}, "b": {"seen": ["2"]}}


def test_wrong_options_are_refused_where_they_are_written() -> None:
    app = App("a")
    stream = app.stream("in")
    with pytest.raises(ValueError, match="choose 'latest' or 'every'"):
        stream.group_by_key().count(emit="final")  # type: ignore[arg-type] # the mistake
    with pytest.raises(ValueError, match="must be at least 1"):
        stream.group_by(str, partitions=0)
    with pytest.raises(ValueError, match="must be at least 1"):
        stream.to("out", partitions=0)
    with pytest.raises(ValueError, match="unknown serde 'jsn'"):
        app.stream("other", value="jsn")
    with pytest.raises(ValueError, match="application name 'two words'"):
        App("two words")
    with pytest.raises(ValueError, match=r"application name '\.\.': .*a directory"):
        App("..")
    with pytest.raises(ValueError, match="memory='much'"):
        App("a", memory="much")
    with pytest.raises(ValueError, match="processing policy 'ignore'"):
        App("a", processing="ignore")  # type: ignore[arg-type] # the mistake


def test_sizes_are_read() -> None:
    for size in ("512MB", "512mb", "512 MiB", "512M", "0.5GB", "524288k", str(512 << 20)):
        assert App("a", memory=size).options.memory_bytes == 512 << 20
    assert App("a", memory=64 << 20).options.memory_bytes == 64 << 20
