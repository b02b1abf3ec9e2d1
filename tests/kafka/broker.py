"""A real Apache Kafka of one node, for tests and for the makers of golden files.

    with KafkaBroker(tmp_path) as broker:
        Producer({"bootstrap.servers": broker.bootstrap})

It runs in KRaft mode on loopback, on free ports. The jars come from Maven, once, into the folder
that KAFKA_LIBS names, else into tests/.kafka-libs. Java and Maven have to be installed;
`why_no_broker` says what is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

POM = Path(__file__).with_name("pom.xml")
LAST_LIBRARY = "kafka-streams-test-utils-*.jar"
"""Where it is, the others are."""

DEFAULT_LIBRARIES = Path(__file__).resolve().parents[1] / ".kafka-libs"
CLUSTER_ID = "c3RyZWFtbG9nLXRlc3RzLg"
START_SECONDS = 300
STOP_SECONDS = 60
FIRST_PORT, PORTS, PORTS_EACH = 10_000, 20_000, 20
"""Where `free_ports` looks: below the ports that a system gives to those that connect."""


class BrokerError(Exception):
    """The broker did not start; the message has the end of its log."""


def why_no_broker() -> str | None:
    """What keeps this machine from running a broker, or None."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if "mvn" in missing and any(library_folder().glob(LAST_LIBRARY)):
        missing.remove("mvn")
    return f"{' and '.join(missing)} not found" if missing else None


def library_folder() -> Path:
    """Where the jars are, or will be."""
    return Path(os.environ.get("KAFKA_LIBS") or DEFAULT_LIBRARIES)


def fetch_libraries() -> Path:
    """The folder with the jars; fetches them first where there are none."""
    folder = library_folder()
    if any(folder.glob(LAST_LIBRARY)):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Test processes start together, and the first one fetches for all.
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(folder.glob(LAST_LIBRARY)):
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            subprocess.run(
                [
                    *("mvn", "-q", "-f", str(POM)),
                    *("dependency:copy-dependencies", f"-DoutputDirectory={part}"),
                ],
                check=True,
            )
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    return folder


def java(*arguments: str, heap: str = "256m") -> list[str]:
    """The command that runs a class, or a source file, with Kafka on its class path.

    Only the quick compiler is used: a test's Java ends before the other one would pay, which
    costs a start as much processor time as all the rest.
    """
    options = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return ["java", *options, "-cp", f"{fetch_libraries()}/*", *arguments]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, and that nobody takes before the broker does.

    Those that a system chooses by itself it may give to the next one who connects, even to whoever
    tries whether the broker is there, and who is then connected to himself. Processes that run at
    the same time begin at ports of their own.
    """
    first = os.getpid() * PORTS_EACH
    found: list[int] = []
    for each in range(PORTS):
        port = FIRST_PORT + (first + each) % PORTS
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does
            tried.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise BrokerError("no port is free")


class KafkaBroker:
    """One broker that is its own controller, below `directory`, while the `with` block runs.

    `settings` are lines of server.properties over those chosen here, which make a small and quick
    broker. Not for two threads at a time.
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, heap: str = "512m"
    ) -> None:
        self.directory = directory
        self.data_directory = directory / "data"
        self._settings = dict(settings or {})
        self._heap = heap
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self._port}"

    def segments(self, topic: str, partition: int = 0) -> list[Path]:
        """The partition's log files in order. The broker may still hold some of them back."""
        return sorted((self.data_directory / f"{topic}-{partition}").glob("*.log"))

    def start(self) -> None:
        """Formats a new directory and starts; returns when the broker takes connections."""
        assert self._process is None, "started twice"
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self._configure()
        output = self.directory / "broker.out"
        with open(output, "wb") as out:
            if not (self.data_directory / "meta.properties").exists():
                subprocess.run(
                    java(
                        *("kafka.tools.StorageTool", "format"),
                        *("-t", CLUSTER_ID, "-c", str(configuration)),
                    ),
                    stdout=out,
                    stderr=out,
                    check=True,
                )
            self._process = subprocess.Popen(
                java("kafka.Kafka", str(configuration), heap=self._heap), stdout=out, stderr=out
            )
        try:
            self._wait_started(output)
        except BaseException:
            self.stop()
            raise

    def stop(self, *, kill: bool = False) -> None:
        """Stops it, cleanly unless `kill`. Does nothing where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self) -> Path:
        self._port, controller = free_ports(2)
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_directory),
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.ms": "-1",  # the tests write timestamps of years ago
        }
        lines.update(self._settings)
        path = self.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return path

    def _wait_started(self, output: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise BrokerError(output.read_text(errors="replace")[-3000:]) from None
            time.sleep(0.05)
