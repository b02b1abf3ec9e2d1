"""Values to bytes and back: str, bytes, int (Kafka's Long), float (Double), JSON."""

from streamlog.serdes.choose import NAMES, serde_for
from streamlog.serdes.primitive import BYTES, DOUBLE, LONG, RAW, STRING
from streamlog.serdes.serde import Serde

__all__ = ["BYTES", "DOUBLE", "LONG", "NAMES", "RAW", "STRING", "Serde", "serde_for"]
