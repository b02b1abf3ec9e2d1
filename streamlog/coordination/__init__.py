"""Transactions and consumer groups: state machines, pure, and the shells that write their topics.

Coordination            both coordinators of a log directory
TransactionCoordinator  producer identities, transactions, recovery   `__transaction_state`
GroupCoordinator        consumer groups, committed offsets            `__consumer_offsets`
ForeignTransactions     how what a stopped broker left open is to end
read_coordination       what both topics say, for readers beside the owner
"""

from streamlog.coordination.adoption import ForeignTransactions
from streamlog.coordination.coordination import (
    Coordination,
    CoordinationView,
    read_committed,
    read_coordination,
    read_group_descriptions,
)
from streamlog.coordination.group_coordinator import GroupCoordinator
from streamlog.coordination.internal_topic import INTERNAL_TOPICS
from streamlog.coordination.transaction_coordinator import TransactionCoordinator
from streamlog.coordination.transaction_log import read_transactions
from streamlog.coordination.transaction_state import (
    ProducerIdentity,
    TransactionMetadata,
    TransactionState,
)

__all__ = [
    "INTERNAL_TOPICS",
    "Coordination",
    "CoordinationView",
    "ForeignTransactions",
    "GroupCoordinator",
    "ProducerIdentity",
    "TransactionCoordinator",
    "TransactionMetadata",
    "TransactionState",
    "read_committed",
    "read_coordination",
    "read_group_descriptions",
    "read_transactions",
]
