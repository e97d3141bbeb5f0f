"""Faults as data: what goes wrong on the wire, at which statement and how often."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

What = Literal[
    "cut_before", "cut_after", "cut_mid", "error", "delay",
    "serializable", "deadlock", "conflict", "open_relation", "no_relation", "dropped",
]  # fmt: skip
# Faults that pass when the whole transaction is tried again: SQLSTATE, message, detail.
TRANSIENT = {
    # [I: aws/aws-sdk-pandas#665]
    "serializable": ("XX000", "1023", "Serializable isolation violation on table - 100123"),
    # [I: estuary/connectors, materialize-redshift]
    "deadlock": (
        "40P01",
        "deadlock detected",
        "Process 20001 waits for AccessExclusiveLock on relation 100123 of database 100001; "
        "blocked by process 20002.",
    ),
    # [I: dbt-labs/dbt-adapters#1873, aws/amazon-redshift-jdbc-driver#147]
    "conflict": ("XX000", "could not complete because of conflict with concurrent transaction", ""),
    # [D: How to fix serializable isolation errors; I: dbt-labs/dbt-adapters#624]
    "open_relation": ("XX000", "could not open relation with OID 100123", ""),
    "no_relation": ("XX000", "1018", "Relation does not exist"),
    # [I: dbt-labs/dbt-core#1305]
    "dropped": ("XX000", "table 100123 dropped by concurrent transaction", ""),
}


@dataclass
class Fault:
    """One fault to inject.

    when: "connect" (the start-up), "commit" (COMMIT or END), a regular expression
        searched in the statement's text without regard to case, or a predicate on it.
    what: cut_before closes the connection before the statement runs; cut_after once it
        has run, before any answer; cut_mid in the middle of the answer. error answers
        sqlstate, message and detail instead of running. delay waits `seconds` first. The
        names of TRANSIENT are errors with the words of a real cluster.
    nth: the first matching statement that is hit, counted from 1.
    times: how many matching statements are hit from there on.
    """

    when: str | Callable[[str], bool]
    what: What
    sqlstate: str = "XX000"
    message: str = "1023"
    detail: str = ""
    nth: int = 1
    times: int = 1
    seconds: float = 0.0
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.what in TRANSIENT:
            self.sqlstate, self.message, self.detail = TRANSIENT[self.what]
            self.what = "error"

    def matches(self, text: str) -> bool:
        """Tell whether a statement is meant, whatever its count."""
        if callable(self.when):
            return self.when(text)
        if self.when in ("connect", "commit"):
            return False
        return re.search(self.when, text, re.IGNORECASE | re.DOTALL) is not None


class Faults(list[Fault]):
    """The faults of a double; counting is safe between sessions."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        super().__init__(faults)
        self._lock = threading.Lock()

    def _hits(self, candidates: Iterator[Fault]) -> list[Fault]:
        hit = []
        with self._lock:
            for fault in candidates:
                fault.seen += 1
                if fault.nth <= fault.seen < fault.nth + fault.times:
                    fault.fired += 1
                    hit.append(fault)
        return hit

    def at_connect(self) -> list[Fault]:
        """Give the faults that hit this connection attempt."""
        return self._hits(fault for fault in list(self) if fault.when == "connect")

    def at_statement(self, text: str, is_commit: bool) -> list[Fault]:
        """Give the faults that hit this execution of a statement."""
        return self._hits(
            fault
            for fault in list(self)
            if (fault.when == "commit" and is_commit) or fault.matches(text)
        )
