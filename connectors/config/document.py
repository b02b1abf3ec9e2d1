"""The shape of a connector's file.

    name: lines                          name: counts
    source:                              from: {topics: [word-counts], key: str, value: int}
      file:                              sink:
        paths: ["texts/**/*.txt"]          file: {path: counts.jsonl, mode: upsert}
    to: {topic: lines, create: {partitions: 4}}

One file is one connector. Below `source:` or `sink:` stands one plugin's name with its own
configuration, which the plugin's class describes.
"""
# No postponed annotations here: the reader takes the types of the fields at run time.

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

from connectors.config import nodes
from connectors.config.faults import Faults
from connectors.config.interpolation import Interpolation
from connectors.config.nodes import START, Node, Scalar, join, kind_of
from connectors.config.scalars import DurationMs, Name, PositiveInt, SizeBytes, TopicName
from connectors.config.typed import INVALID, Invalid, Key, misspelt_names, read_config
from connectors.errors import ConnectorError
from streamlog.client.contract import MAX_PARTITIONS
from streamlog.errors import did_you_mean

SerdeName = Literal["str", "bytes", "int", "float", "json"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateTopic:
    """How to create a topic that does not exist; one that does must have as many partitions."""

    partitions: PositiveInt = 1
    config: dict[str, str] = field(default_factory=dict[str, str])

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.partitions > MAX_PARTITIONS:
            yield "partitions", f"must be {MAX_PARTITIONS} or less"


@dataclass(frozen=True, kw_only=True, slots=True)
class To:
    """Where a source's records go, and how keys and values that are no bytes are written."""

    topic: TopicName
    key: SerdeName = "str"
    value: SerdeName = "json"
    create: CreateTopic | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class From:
    """What a sink reads, and how keys and values are read."""

    topics: list[TopicName]
    key: SerdeName = "str"
    value: SerdeName = "json"

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.topics:
            yield "topics", "name at least one topic"
        if len(set(self.topics)) < len(self.topics):
            yield "topics", "a topic is named twice"


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How long and how often a task tries again what a plugin says may work later."""

    for_ms: Annotated[DurationMs, Key("for")] = 600_000
    initial_delay_ms: Annotated[DurationMs, Key("initial_delay")] = 100
    max_delay_ms: Annotated[DurationMs, Key("max_delay")] = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """What becomes of records that cannot be converted or delivered."""

    retry: Retry = field(default_factory=Retry)
    tolerate: Literal["none", "all"] = "none"
    dead_letter: TopicName | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.dead_letter is not None and self.tolerate == "none":
            yield "dead_letter", "has no effect with tolerate: none; write tolerate: all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """When a task commits at the latest; it also does when there is nothing more to read."""

    size_bytes: Annotated[SizeBytes, Key("bytes")] = 8_000_000
    age_ms: Annotated[DurationMs, Key("age")] = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginConfig:
    """The plugin that a file names, and its own configuration, validated."""

    name: str
    config: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceDocument:
    name: str
    source: PluginConfig
    to: To
    errors: Errors
    commit: Commit


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkDocument:
    name: str
    sink: PluginConfig
    from_: From
    errors: Errors
    commit: Commit


class ConfigurablePlugin(Protocol):
    """What the reader asks of a plugin."""

    @property
    def config(self) -> type[Any] | None:
        """Its configuration class; None: it takes none."""
        ...

    @property
    def encoded(self) -> bool:
        """Whether it writes bytes, so that the file may name no serdes for it."""
        ...


class PluginCatalog(Protocol):
    """What the reader asks of the registry."""

    def names(self, kind: Literal["source", "sink"]) -> Collection[str]: ...

    def plugin(self, kind: Literal["source", "sink"], name: str) -> ConfigurablePlugin:
        """Raises `ConnectorError` where the plugin cannot be loaded."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plain:
    """The fields of a file that need no plugin."""

    name: Name
    to: To | None = None
    from_: Annotated[From | None, Key("from")] = None
    errors: Errors = field(default_factory=Errors)
    commit: Commit = field(default_factory=Commit)


_FIELDS: Final = ("name", "source", "to", "from", "sink", "errors", "commit")
_PARTNER: Final = {"source": "to", "sink": "from"}


def read_document(
    path: Path, catalog: PluginCatalog, environment: Mapping[str, str] | None = None
) -> SourceDocument | SinkDocument:
    """Reads and validates a file.

    Raises:
        ConfigError: with all faults of the file at once.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    text = data.decode("utf-8", "replace")
    faults = Faults(str(path), text)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add(nodes.Place(line, 1), "", f"byte {error.start} is not UTF-8")
        faults.raise_if_any()
    root = nodes.parse(text, faults)
    document = None
    if root is not None:
        interpolation = Interpolation(os.environ if environment is None else environment)
        document = _Document(catalog, faults).read(interpolation.apply(root, faults))
    faults.raise_if_any()
    assert document is not None
    return document


class _Document:
    """Reads the root of a file. Owned by the thread that reads it."""

    def __init__(self, catalog: PluginCatalog, faults: Faults) -> None:
        self._catalog = catalog
        self._faults = faults

    def read(self, root: Node) -> SourceDocument | SinkDocument | None:
        if not isinstance(root, nodes.Mapping):
            self._faults.add(root.place, "", f"expected a mapping, got {kind_of(root)}")
            return None
        misspelt = self._report_unknown(root)
        kind = self._choose_kind(root, misspelt)
        plain = read_config(_Plain, _without(root, "source", "sink"), "", self._faults)
        if kind is None:
            return None
        plugin = self._plugin(kind, root.fields[kind], root.fields.get("to"))
        if _PARTNER[kind] not in misspelt:
            self._require(root, _PARTNER[kind], kind)
        self._refuse_other(root, _PARTNER[kind], kind)
        if isinstance(plain, Invalid) or plugin is None:
            return None
        return _assemble(plain, kind, plugin)

    def _report_unknown(self, root: nodes.Mapping) -> frozenset[str]:
        """Returns the known names that unknown ones probably stand for."""
        unknown = [name for name in root.fields if name not in _FIELDS]
        for name in unknown:
            message = f"unknown field {name!r}{did_you_mean(name, _FIELDS)}"
            self._faults.add(root.key_places[name], name, message)
        return misspelt_names(unknown, _FIELDS)

    def _choose_kind(
        self, root: nodes.Mapping, misspelt: frozenset[str]
    ) -> Literal["source", "sink"] | None:
        match "source" in root.fields, "sink" in root.fields:
            case True, True:
                message = "one file is one connector: give the sink a file of its own"
                self._faults.add(root.key_places["sink"], "sink", message)
                self._plugin("sink", root.fields["sink"], None)
                return "source"
            case True, False:
                return "source"
            case False, True:
                return "sink"
            case _ if misspelt & {"source", "sink"}:
                return None
            case _:
                self._faults.add(START, "", "a connector has 'source:' or 'sink:'; this has none")
                return None

    def _require(self, root: nodes.Mapping, name: str, kind: str) -> None:
        if name not in root.fields:
            self._faults.add(root.key_places[kind], name, f"is required beside '{kind}:'")

    def _refuse_other(self, root: nodes.Mapping, name: str, kind: str) -> None:
        for other in set(_PARTNER.values()) - {name}:
            if other in root.fields:
                message = f"a {kind} has '{name}:', not '{other}:'"
                self._faults.add(root.key_places[other], other, message)

    def _plugin(
        self, kind: Literal["source", "sink"], node: Node, to: Node | None
    ) -> PluginConfig | None:
        if isinstance(node, Scalar) and node.is_unresolved:
            return None
        if isinstance(node, Scalar) and not node.is_null:
            node = nodes.Mapping(node.place, {node.text: _nothing(node)}, {node.text: node.place})
        if not isinstance(node, nodes.Mapping) or len(node.fields) != 1:
            message = f"expected one connector's name with its configuration, got {kind_of(node)}"
            if isinstance(node, nodes.Mapping):
                message = f"expected one connector, got {len(node.fields)}"
            self._faults.add(node.place, kind, message)
            return None
        [(name, config)] = node.fields.items()
        place = node.key_places[name]
        plugin = self._find(kind, name, place)
        if plugin is None:
            return None
        if plugin.encoded and isinstance(to, nodes.Mapping):
            self._refuse_serdes(name, to)
        if isinstance(config, Scalar) and config.is_null:
            config = nodes.Mapping(place, {}, {})  # required fields are missed at the name
        value = read_config(plugin.config or _NoConfig, config, join(kind, name), self._faults)
        return None if value is INVALID else PluginConfig(name=name, config=value)

    def _refuse_serdes(self, name: str, to: nodes.Mapping) -> None:
        for field_name in ("key", "value"):
            if field_name in to.fields:
                message = f"the source {name!r} writes its own bytes; remove this field"
                self._faults.add(to.key_places[field_name], f"to.{field_name}", message)

    def _find(
        self, kind: Literal["source", "sink"], name: str, place: nodes.Place
    ) -> ConfigurablePlugin | None:
        path = join(kind, name)
        known = self._catalog.names(kind)
        if name not in known:
            near = did_you_mean(name, known)
            listed = ", ".join(sorted(known))
            self._faults.add(place, path, f"unknown {kind} {name!r}{near}; installed: {listed}")
            return None
        try:
            return self._catalog.plugin(kind, name)
        except ConnectorError as error:
            self._faults.add(place, path, str(error))
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _NoConfig:
    """The configuration of a plugin that takes none."""


def _nothing(node: Scalar) -> Scalar:
    return Scalar(node.place, "", is_null=True)


def _without(root: nodes.Mapping, *names: str) -> nodes.Mapping:
    """The root with only the fields that `_Plain` knows."""
    kept = {n: v for n, v in root.fields.items() if n in _FIELDS and n not in names}
    return nodes.Mapping(root.place, kept, root.key_places)


def _assemble(
    plain: _Plain, kind: Literal["source", "sink"], plugin: PluginConfig
) -> SourceDocument | SinkDocument | None:
    if kind == "source" and plain.to is not None:
        return SourceDocument(
            name=plain.name, source=plugin, to=plain.to, errors=plain.errors, commit=plain.commit
        )
    if kind == "sink" and plain.from_ is not None:
        return SinkDocument(
            name=plain.name,
            sink=plugin,
            from_=plain.from_,
            errors=plain.errors,
            commit=plain.commit,
        )
    return None
