"""Connectors by name: the built-in ones, and what installed distributions register.

A distribution names its class under the entry point group `streamlog.sources` or
`streamlog.sinks`. Nothing is imported before a file names it, so an expensive library costs
nothing until then.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

from connectors.api import PLUGIN_ATTRIBUTE, Plugin, PluginKind
from connectors.errors import PluginError
from streamlog.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

GROUPS: Final[dict[PluginKind, str]] = {"source": "streamlog.sources", "sink": "streamlog.sinks"}
_BUILT_IN: Final[dict[PluginKind, dict[str, str]]] = {
    "source": {"file": "connectors.sources.file:FileSource"},
    "sink": {"file": "connectors.sinks.file:FileSink"},
}


class Registry:
    """Finds plugins. Reads the installed entry points once, at first use."""

    def __init__(self) -> None:
        self._points: dict[PluginKind, dict[str, EntryPoint]] = {}

    def names(self, kind: PluginKind) -> Collection[str]:
        return self._load_points(kind).keys()

    def plugin(self, kind: PluginKind, name: str) -> Plugin:
        """Imports a plugin.

        Raises:
            PluginError: none of that name is installed, or it cannot be imported.
        """
        points = self._load_points(kind)
        if name not in points:
            raise PluginError(name, f"no such {kind}{did_you_mean(name, points)}")
        try:
            named = points[name].load()
        except Exception as error:  # a foreign module may fail in any way while it is imported
            raise PluginError(name, f"cannot import {points[name].value}: {error}") from error
        # Not getattr: a subclass does not inherit its base's registration.
        plugin = getattr(named, "__dict__", {}).get(PLUGIN_ATTRIBUTE)
        if not isinstance(plugin, Plugin) or plugin.kind != kind:
            raise PluginError(name, f"{points[name].value} is no class with @{kind}(...)")
        return plugin

    def _load_points(self, kind: PluginKind) -> dict[str, EntryPoint]:
        if kind not in self._points:
            group = GROUPS[kind]
            built_in = (EntryPoint(*item, group) for item in _BUILT_IN[kind].items())
            points = (*entry_points(group=group), *built_in)
            self._points[kind] = {point.name: point for point in points}
        return self._points[kind]
