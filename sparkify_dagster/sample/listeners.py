"""The people who listen: who they are, how active they are, and what they pay."""

from dataclasses import dataclass
from random import Random
from typing import Any

from sparkify_dagster.sample import draw
from sparkify_dagster.sample.spec import SampleSpec
from sparkify_dagster.sample.words import WORDS

DAY_MS = 86_400_000
FIRST_USER_ID = 2
SHARE_OF_NEWCOMERS = 0.15
DAYS_OF_NEWCOMERS = 60
# Two users of one name, as in the real data.
NAMESAKE_RANKS = (2, 5)


# The keys of an event that name its user; those that are missing are null.
NOBODY = {"auth": "Logged Out", "userId": ""}


@dataclass(slots=True)
class Listener:
    """A user. `level` and `free_at_ms` (when the next session may start) change over time."""

    identity: dict[str, Any]  # as of NOBODY
    level: str
    free_at_ms: int


class Audience:
    """All users of a lake; few of them are heard from often, many seldom."""

    def __init__(self, spec: SampleSpec) -> None:
        rng = draw.generator(spec.seed, "users")
        ids = draw.mixed(rng, range(FIRST_USER_ID, FIRST_USER_ID + spec.users))
        first, second = NAMESAKE_RANKS
        names: list[dict[str, str]] = []
        listeners: list[Listener] = []
        for rank, user_id in enumerate(ids):
            names.append(names[first] if rank == second else _name(rng))
            name = names[-1] | {"userId": str(user_id)}
            listeners.append(_listener(spec, rng, rank, name))
        # The most active user stays within what a person can listen to, in a crowd of any size.
        self._listeners = draw.Ranked(listeners, 2 + 0.05 * spec.users)

    def pick(self, rng: Random, at_ms: int) -> Listener | None:
        """Return a user who starts a session now, or None if all are busy."""
        for _ in range(12):
            listener = self._listeners.draw(rng)
            if listener.free_at_ms <= at_ms:
                return listener
        everybody = self._listeners.items
        first = draw.whole(rng, 0, len(everybody))
        free = (one for one in (*everybody[first:], *everybody[:first]) if one.free_at_ms <= at_ms)
        return next(free, None)


def _name(rng: Random) -> dict[str, str]:
    gender = "F" if rng.random() < 0.56 else "M"
    first_name = draw.one_of(rng, WORDS["women" if gender == "F" else "men"])
    last_name = draw.one_of(rng, WORDS["surnames"])
    return {"firstName": first_name, "lastName": last_name, "gender": gender}


def _listener(spec: SampleSpec, rng: Random, rank: int, name: dict[str, str]) -> Listener:
    registration = spec.start_ms - draw.whole(rng, 60_000, 30 * DAY_MS)
    # Newcomers do not depend on the number of days: more days leave the first ones as they were.
    if rank > NAMESAKE_RANKS[1] and rng.random() < SHARE_OF_NEWCOMERS:
        registration = spec.start_ms + draw.whole(rng, 0, DAYS_OF_NEWCOMERS * DAY_MS)
    pays = rng.random() < (0.5 if rank < 0.2 * spec.users else 0.15)
    identity = name | {
        "auth": "Logged In",
        "location": draw.one_of(rng, WORDS["metro_areas"]),
        "registration": float(registration),
        "userAgent": _user_agent(rng),
    }
    return Listener(identity, "paid" if pays else "free", registration + 60_000)


def _user_agent(rng: Random) -> str:
    """Return a browser's name."""
    kind = rng.random()
    browser = next(one for one in WORDS["browsers"] if kind < one["below"])
    drawn = {
        part: draw.whole(rng, *choice) if isinstance(choice[0], int) else draw.one_of(rng, choice)
        for part, choice in browser.items()
        if isinstance(choice, list)
    }
    return str(browser["name"].format(**drawn))
