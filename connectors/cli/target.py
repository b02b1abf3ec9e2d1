"""The loader of YAML files for `streamlog run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from connectors.config.document import SourceDocument, read_document
from connectors.errors import FileError
from connectors.registry import Registry
from connectors.runtime.sink_task import SinkTask
from connectors.runtime.source_task import SourceTask

if TYPE_CHECKING:
    from streamlog.targets import Target


def load(spec: str) -> list[Target] | None:
    """The connector that a `.yaml` file describes, or None for any other spec.

    Raises:
        FileError: the file cannot be read.
        ConfigError: it has faults, all of which the error names.
        PluginError: its connector cannot be imported.
    """
    if not spec.endswith((".yaml", ".yml")):
        return None
    registry = Registry()
    try:
        document = read_document(Path(spec), registry)
    except OSError as error:
        raise FileError(spec, error.strerror or str(error)) from error
    if isinstance(document, SourceDocument):
        return [SourceTask(document, registry.plugin("source", document.source.name))]
    return [SinkTask(document, registry.plugin("sink", document.sink.name))]
