"""Makes every golden file of the folder above: `python tests/golden/make/make.py`.

The files that start with "java" come from Kafka's Java client (Golden.java), those that start with
"librdkafka" and "broker" are the segments of a real broker that librdkafka sent them to. Needs
Java, Maven and confluent-kafka; the timestamps of the transactions' markers are the only bytes
that change from run to run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent
sys.path.insert(0, str(HERE.parents[1] / "kafka"))

from broker import KafkaBroker, java  # noqa: E402 - its folder is put on the path above

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def main() -> None:
    subprocess.run(
        java(str(HERE / "Golden.java"), str(GOLDEN / "records.json"), str(GOLDEN)), check=True
    )
    records = json.loads((GOLDEN / "records.json").read_text())
    topics = [f"librdkafka-{codec}" for codec in CODECS] + ["broker-transactions"]
    with tempfile.TemporaryDirectory() as folder:
        with KafkaBroker(Path(folder)) as broker:
            create_topics(broker, topics)
            for codec in CODECS:
                producer = Producer(settings(broker, codec))
                produce(producer, f"librdkafka-{codec}", records["small"])
                if codec != "none":
                    produce(producer, f"librdkafka-{codec}", records["large"])
            transactions(broker, records["small"])
        # Only now: the last marker is written when the commit has been answered.
        for topic in topics:
            keep(broker, topic)


def create_topics(broker: KafkaBroker, topics: list[str]) -> None:
    """Otherwise the first record leaves alone, while the others wait for the topic."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    for created in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        created.result(30)


def settings(broker: KafkaBroker, codec: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": broker.bootstrap,
        "compression.type": codec,
        "linger.ms": 1000,  # until the flush, so that all go into one batch
        "enable.idempotence": False,
    }


def produce(producer: Producer, topic: str, records: list[dict[str, Any]]) -> None:
    assert producer.list_topics(topic, 30).topics[topic].error is None
    for record in records:
        producer.produce(
            topic,
            key=content(record["key"]),
            value=content(record["value"]),
            timestamp=record["timestamp"],
            headers=[(name, content(value)) for name, value in record.get("headers", [])],
        )
    assert producer.flush(30) == 0


def transactions(broker: KafkaBroker, records: list[dict[str, Any]]) -> None:
    """One committed, one aborted, and one committed by another producer epoch."""
    for outcomes in (("commit", "abort"), ("commit",)):
        producer = Producer(
            {
                **settings(broker, "none"),
                "enable.idempotence": True,
                "transactional.id": "golden",
            }
        )
        producer.init_transactions(30)
        for outcome in outcomes:
            producer.begin_transaction()
            produce(producer, "broker-transactions", records[:3])
            if outcome == "commit":
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)


def keep(broker: KafkaBroker, topic: str) -> None:
    # More than one segment where a marker's timestamp is a week behind the records'.
    data = b"".join(segment.read_bytes() for segment in broker.segments(topic))
    (GOLDEN / f"{topic}.bin").write_bytes(data)


def content(value: str | dict[str, Any] | None) -> bytes | None:
    text = value["text"] * value["times"] if isinstance(value, dict) else value
    return None if text is None else text.encode()


if __name__ == "__main__":
    main()
