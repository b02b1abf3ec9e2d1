"""Where one producer's batches get their identity and sequence and go into the partition logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import RecordTooLargeError, did_you_mean
from streamlog.record import Codec, encode_batch
from streamlog.storage.validation import check_columns, choose_codec, level_of

if TYPE_CHECKING:
    from streamlog.client.broker import Broker
    from streamlog.client.kernel import Headers
    from streamlog.coordination import ProducerIdentity
    from streamlog.storage import PartitionLog
    from streamlog.topic import TopicPartition

MAX_SEQUENCE: Final = 0x7FFFFFFF
CODECS: Final = {codec.name.lower(): codec for codec in Codec}


def codec_named(name: str) -> Codec:
    """Raises `ValueError` for a name that is none of Kafka's."""
    if name not in CODECS:
        known = ", ".join(CODECS)
        raise ValueError(
            f"unknown compression {name!r}{did_you_mean(name, CODECS)}; known: {known}"
        )
    return CODECS[name]


class Appender:
    """Appends batches of one producer, each partition's in sequence.

    Not for two threads at a time: the producer's lock on appending guards it, which also keeps
    sequences in the order of the log.
    """

    def __init__(self, broker: Broker, codec: Codec, *, transactional: bool) -> None:
        self._broker = broker
        self._codec = codec
        self._transactional = transactional
        self._identity: ProducerIdentity | None = None
        self._sequences: dict[TopicPartition, int] = {}

    def ensure_identity(self) -> None:
        """Makes sure of an identity; waits for the disk once in a thousand times."""
        if self._identity is None:
            self.use(self._broker.new_identity())

    def use(self, identity: ProducerIdentity) -> None:
        """Goes on as another identity, whose sequences begin at 0."""
        self._identity = identity
        self._sequences = {}

    def append(
        self,
        log: PartitionLog,
        keys: list[bytes | None],
        values: list[bytes | None],
        timestamps: list[int],
        headers: list[Headers] | None,
    ) -> int:
        """Appends one batch and returns its base offset.

        Raises what `PartitionLog.append` raises, and `InvalidRecordError` or
        `InvalidTimestampError` for records that the topic does not take; the sequence then stays,
        so the next batch fits.
        """
        sequence = self._sequences.get(log.topic_partition, 0)
        try:
            base_offset = self._write(log, sequence, keys, values, timestamps, headers)
            self._sequences[log.topic_partition] = (sequence + len(values)) & MAX_SEQUENCE
        except Exception:
            raise
        except BaseException:
            # Ctrl-C, maybe right behind the write: nobody knows whether the sequence was used, and
            # a used one would make the log take the next batch for a duplicate.
            if not self._transactional:
                self.use(self._broker.new_identity())
            raise
        return base_offset

    def _write(
        self,
        log: PartitionLog,
        sequence: int,
        keys: list[bytes | None],
        values: list[bytes | None],
        timestamps: list[int],
        headers: list[Headers] | None,
    ) -> int:
        assert self._identity is not None
        config, now_ms = log.config, self._broker.clock.now_ms()
        codec = choose_codec(config, self._codec)
        while True:
            batch = encode_batch(
                keys,
                values,
                timestamps,
                headers,
                codec=codec,
                producer_id=self._identity.producer_id,
                producer_epoch=self._identity.producer_epoch,
                base_sequence=sequence,
                transactional=self._transactional,
                compression_level=None if codec is self._codec else level_of(config, codec),
            )
            check_columns(keys, timestamps, batch, config, now_ms, log.topic_partition)
            try:
                return log.append(batch, now_ms=now_ms).base_offset
            except RecordTooLargeError:
                # Batches are cut by their uncompressed size, and some data only grows.
                if codec is Codec.NONE:
                    raise
                codec = Codec.NONE
