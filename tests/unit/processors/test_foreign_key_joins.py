"""Foreign-key joins: who subscribes to what, what is sent, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from processors import App
from processors.errors import ProcessingError, ProductionError, TopologyError
from processors.operators.foreign_key_kernel import PAGE_SIZE, add, remove, subscribers_of
from processors.state.cached import KeyValueState
from processors.state.memory import MemoryStore
from processors.testing import TopologyTestDriver
from processors.topology.foreign_key import Answer, AnswerSerde, Page, PageSerde
from streamlog.errors import SerializationError
from streamlog.serdes import BYTES, STRING


def driver_for(app: App, **options: Any) -> TopologyTestDriver:
    return TopologyTestDriver(app, **options)


def pages() -> KeyValueState:
    return KeyValueState("s", BYTES, PageSerde(), MemoryStore(), None)


# The subscribers of a foreign key.


def test_a_foreign_key_may_have_any_number_of_subscribers() -> None:
    state, expected = pages(), set[bytes]()
    for number in range(PAGE_SIZE * 40):
        add(state, b"fk", b"%d" % number, number)
        expected.add(b"%d" % number)
        if number % 3 == 0:
            remove(state, b"fk", b"%d" % (number // 2), number)
            expected.discard(b"%d" % (number // 2))
    add(state, b"other", b"1", 0)
    assert subscribers_of(state, b"fk") == sorted(expected)
    state.flush()
    state.on_committed()
    state.checkpoint(None)
    state.evict_clean()
    assert subscribers_of(state, b"fk") == sorted(expected)
    sizes = [len(data) for _, data in state.store.range()]
    assert max(sizes) < PAGE_SIZE * 12


def test_who_subscribes_again_or_leaves_twice_is_one_subscriber() -> None:
    state = pages()
    for _ in range(2):
        add(state, b"fk", b"k", 1)
    assert subscribers_of(state, b"fk") == [b"k"]
    for _ in range(2):
        remove(state, b"fk", b"k", 2)
    assert subscribers_of(state, b"fk") == []
    state.flush()
    state.on_committed()
    state.checkpoint(None)
    assert list(state.store.range()) == []


# Bytes.


@pytest.mark.parametrize(
    "answer",
    [Answer(b"fk", False, "value"), Answer(b"", False, ""), Answer(b"fk", True, None)],
)
def test_answers_come_back(answer: Answer) -> None:
    serde = AnswerSerde(STRING)
    read, nothing = serde.deserialize_column(serde.serialize_column([answer, None]))
    alone, (copy,) = serde.deserialize(serde.serialize(answer)), serde.hand_over([answer])
    for each in (read, alone, copy):
        assert each is not None
        fields = (answer.foreign_key, answer.ended, answer.value)
        assert (each.foreign_key, each.ended, each.value) == fields
    assert nothing is None


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0\5abc"])
def test_an_answer_that_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(SerializationError):
        AnswerSerde(STRING).deserialize(data)


def test_pages_come_back_and_what_is_cut_off_is_refused() -> None:
    page = Page(4)
    page.subscribers = {b"a": None, b"": None}
    read = PageSerde().deserialize(PageSerde().serialize(page))
    assert (read.pages, list(read.subscribers)) == (4, [b"a", b""])
    for data in (b"", PageSerde().serialize(page)[:-2], b"\0\0\0\1\0\0\0\7a"):
        with pytest.raises(SerializationError):
            PageSerde().deserialize(data)


# The join.


def orders_and_users(how: Any = "inner", **options: Any) -> App:
    app = App("a", **options)
    orders = app.table("orders", key=int, value="json", emit="every")
    users = app.table("users", value="json", emit="every")
    joined = orders.join(
        users,
        lambda order, user: {"n": order["n"], "user": user and user["name"]},
        foreign_key=lambda order: order["user"],
        how=how,
    )
    joined.to_stream().to("out")
    return app


def test_what_refers_to_a_key_changes_with_it() -> None:
    driver = driver_for(orders_and_users(), partitions={"orders": 3, "users": 2})
    for number in range(3):
        driver.pipe("orders", {"n": number, "user": "ann"}, key=number, timestamp=number)
    driver.pipe("users", {"name": "Ann"}, key="ann", timestamp=10)
    assert driver.map("out") == {n: {"n": n, "user": "Ann"} for n in range(3)}
    driver.pipe("users", None, key="ann", timestamp=11)
    assert driver.map("out") == dict.fromkeys(range(3))


def test_the_time_of_a_result_is_the_later_of_its_sides_or_that_of_the_right_change() -> None:
    driver = driver_for(orders_and_users())
    driver.pipe("users", {"name": "Ann"}, key="ann", timestamp=50)
    driver.pipe("orders", {"n": 1, "user": "ann"}, key=1, timestamp=10)
    driver.pipe("users", {"name": "Bea"}, key="ann", timestamp=5)
    assert [row.timestamp for row in driver.records("out")] == [50, 5]


def test_key_and_value_make_the_foreign_key_where_items_are_joined() -> None:
    app = App("a")
    employees, managers = app.table("employees", value=str), app.table("managers", value=str)
    joined = employees.items().join(
        managers,
        lambda item, manager: f"{item[0]} {item[1]} {manager}",
        foreign_key=lambda item: item[0][0],
        value=str,
    )
    joined.to_stream().to("out")
    driver = driver_for(app)
    driver.run("employees", [("a7", "ann")]).run("managers", [("a", "bob")])
    assert driver.values("out") == ["a7 ann bob"]


def test_a_table_may_refer_to_itself() -> None:
    app = App("a")
    staff = app.table("staff", value=str, emit="every")
    joined = staff.join(staff, "{}-{}".format, foreign_key=lambda v: v[0], how="left", value=str)
    joined.to_stream().to("out")
    rows = [("a", "b1"), ("b", "a2"), ("a", "a3"), ("b", None)]
    assert driver_for(app).run("staff", rows).map("out") == {"a": "a3-a3", "b": None}


def test_a_foreign_key_that_fails_refers_to_nothing() -> None:
    driver = driver_for(orders_and_users(processing="skip"))
    driver.pipe("users", {"name": "Ann"}, key="ann")
    driver.pipe("orders", {"n": 1, "user": "ann"}, key=1)
    driver.pipe("orders", {"n": 1}, key=1)
    driver.pipe("orders", {"n": 2, "user": "ann"}, key=1)
    assert [row.value and row.value["n"] for row in driver.records("out")] == [1, None, 2]
    assert sum(driver.skipped().values()) == 1


def test_a_foreign_key_of_another_kind_fails_in_production() -> None:
    driver = driver_for(orders_and_users())
    with pytest.raises(ProductionError, match="foreign keys are written as str"):
        driver.pipe("orders", {"n": 1, "user": 7}, key=1)


def test_a_join_that_cannot_be_is_refused() -> None:
    app = App("a")
    orders, users = app.table("orders"), app.table("users")
    for how in ("right", "outer"):
        wrong: Any = how
        with pytest.raises(TopologyError, match=r"'inner' or 'left'.*exchange the tables"):
            orders.join(users, max, foreign_key=str, how=wrong)
    no_function: Any = "user"
    with pytest.raises(TypeError, match="foreign_key='user' is no function"):
        orders.join(users, max, foreign_key=no_function)
    with pytest.raises(TopologyError, match="another App"):
        orders.join(App("b").table("users"), max, foreign_key=str)


@pytest.mark.parametrize("place", [0, 7, 14])
@pytest.mark.parametrize("role", ["foreign_key", "joiner"])
def test_what_was_given_up_has_not_happened(place: int, role: str) -> None:
    failing: list[bool] = [False]

    def fail(where: str, value: str) -> None:
        if failing[0] and where == role and value.startswith("bad"):
            raise ValueError("told to fail")

    def refers_to(value: str) -> str | None:
        fail("foreign_key", value)
        return value[-1] if value[-1] != "-" else None

    def show(value: str, partner: str | None) -> str:
        fail("joiner", value)
        return f"{value}/{partner}"

    def build() -> TopologyTestDriver:
        app = App("a")
        left = app.table("L", value=str, emit="every")
        right = app.table("R", value=str, emit="every")
        left.join(right, show, foreign_key=refers_to, how="left", value=str).to_stream().to("out")
        return TopologyTestDriver(app, commit_every=1_000)

    first: list[tuple[str, str, Any]] = [("R", "a", "A"), ("L", "k1", "x-"), ("L", "k2", "ya")]
    rest = [("L", f"k{n % 4}", f"v{n}{'ab-'[n % 3]}") for n in range(15)]
    rest[place] = ("L", rest[place][1], "bad" + rest[place][2][-1])
    drivers = [build(), build()]
    for driver in drivers:
        for topic, key, value in first:
            driver.pipe(topic, value, key=key)
        driver.commit()
    failing[0] = True
    for topic, key, value in rest:
        drivers[0].pipe(topic, value, key=key)
    with pytest.raises(ProcessingError, match="told to fail"):
        drivers[0].commit()
    failing[0] = False
    for driver in drivers:
        for topic, key, value in [*rest, ("R", "a", "B"), ("R", "b", "C")]:
            driver.pipe(topic, value, key=key)
        driver.commit()
    assert drivers[0].items("out") == drivers[1].items("out")
