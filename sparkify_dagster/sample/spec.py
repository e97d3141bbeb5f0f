"""What a sample lake is asked to be."""

from dataclasses import asdict, dataclass
from datetime import date, timedelta

import click

DEFAULT_START = date(2018, 11, 1)
DEFAULT_USERS = 100

# Beyond this a listener would hear music for most of the day, every day.
MOST_EVENTS_PER_USER = 50
FIRST_START = date(1971, 1, 1)
LAST_END = date(2199, 12, 31)


class SampleDataError(click.ClickException):
    """A sample lake that cannot be made as asked; the message names the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """The arguments that determine a sample lake, byte for byte.

    `events_per_day` is the mean over a week: weekdays have more, weekends fewer.

    Raises SampleDataError where a value is out of range.
    """

    start: date = DEFAULT_START
    days: int = 30
    events_per_day: int = 270
    songs: int = 1000
    users: int = DEFAULT_USERS
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("days", "events_per_day", "songs", "users"):
            value = getattr(self, name)
            if value < 1:
                raise SampleDataError(f"{name} is {value}: give 1 or more")
        days_left = (LAST_END - self.start).days + 1
        if self.start < FIRST_START or self.days > days_left:
            raise SampleDataError(
                f"start {self.start} with {self.days} days is out of range: "
                f"keep it within {FIRST_START} to {LAST_END}"
            )
        if self.events_per_day > MOST_EVENTS_PER_USER * self.users:
            raise SampleDataError(
                f"{self.events_per_day} events a day are too many for {self.users} users: "
                f"give at least {-(-self.events_per_day // MOST_EVENTS_PER_USER)} users"
            )

    @property
    def end(self) -> date:
        """The last day that has events."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def start_ms(self) -> int:
        """The first instant of the lake, in milliseconds since 1970-01-01 UTC."""
        return (self.start - date(1970, 1, 1)).days * 86_400_000

    def as_json(self) -> dict[str, str | int]:
        """Return the arguments as `sample.json` holds them."""
        fields = asdict(self)
        return {"start": f"{fields.pop('start')}", "end": f"{self.end}", **fields}


def users_for(events_per_day: int) -> int:
    """Return how many users listen where none are asked for: 100, or one for 3 events a day."""
    return max(DEFAULT_USERS, events_per_day // 3)
