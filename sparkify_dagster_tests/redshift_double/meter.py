"""What a double counts, and the seconds its answers would have taken elsewhere."""

import dataclasses
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """What a Redshift in another building takes, in seconds; added up, never slept.

    round_trip: from a request to its answer over the network. login: TLS and authentication.
    commit: a commit that wrote (0.6 s in AWS's own example of STL_COMMIT_STATS).
    copy: a COPY before its first byte; copy_bytes_per_second: then, of the files as they lie
    in S3. system_view: a statement that reads a monitoring view.
    """

    round_trip: float = 0.02
    login: float = 0.3
    commit: float = 0.5
    copy: float = 2.0
    copy_bytes_per_second: float = 50e6
    system_view: float = 1.0


@dataclass(frozen=True)
class Counts:
    """What was asked of a double so far.

    commits are those that wrote; system_views are the statements that read one.
    """

    statements: int = 0
    sessions: int = 0
    round_trips: int = 0
    copies: int = 0
    copy_bytes: int = 0
    commits: int = 0
    system_views: int = 0

    def __sub__(self, earlier: "Counts") -> "Counts":
        """Give what was added since an earlier reading."""
        names = [field.name for field in dataclasses.fields(self)]
        return Counts(*(getattr(self, name) - getattr(earlier, name) for name in names))


class Meter:
    """The running counts of a double; safe between sessions."""

    def __init__(self, latency: Latency | None) -> None:
        self._latency = latency
        self._lock = threading.Lock()
        self._values = dict.fromkeys((f.name for f in dataclasses.fields(Counts)), 0)

    def add(self, name: str, by: int = 1) -> None:
        """Count one more of a kind."""
        with self._lock:
            self._values[name] += by

    @property
    def counts(self) -> Counts:
        """Read all counts at one moment."""
        with self._lock:
            return Counts(**self._values)

    @property
    def clock(self) -> float:
        """The seconds of the latency model so far, over all sessions; 0 without a model."""
        if self._latency is None:
            return 0.0
        counts, latency = self.counts, self._latency
        return (
            counts.round_trips * latency.round_trip
            + counts.sessions * latency.login
            + counts.commits * latency.commit
            + counts.copies * latency.copy
            + counts.copy_bytes / latency.copy_bytes_per_second
            + counts.system_views * latency.system_view
        )
