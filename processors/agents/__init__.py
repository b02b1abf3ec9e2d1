"""Agents: the user's own asynchronous code over the records of a topic, exactly once.

An agent is an async generator (or coroutine) function over a stream of events. One instance runs
a partition, one event at a time. What an event writes to stores and yields is its write set, which
joins the application's transaction when the agent asks for the next event; a commit never waits
for an agent, and an event in flight at a commit is not in it.
"""

from processors.agents.declaration import Agent, Keyed
from processors.agents.store import OutsideEventError, Store

__all__ = ["Agent", "Keyed", "OutsideEventError", "Store"]
