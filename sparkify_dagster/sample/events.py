"""Sessions of listening, as the lines of the daily event files.

One day is made at a time; only what lies past midnight is kept for the next.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from sparkify_dagster.lake.jsonpaths import EVENT_KEYS
from sparkify_dagster.sample import draw
from sparkify_dagster.sample.catalogue import Track
from sparkify_dagster.sample.listeners import DAY_MS, NOBODY, Audience, Listener
from sparkify_dagster.sample.spec import SampleSpec
from sparkify_dagster.sample.words import encode

HOUR_MS = 3_600_000

# Monday to Sunday; they add up to 7.
WEEKDAY_WEIGHTS = (1.1, 1.15, 1.3, 1.1, 1.25, 0.65, 0.45)
# When sessions start, by hour of the day (UTC).
HOUR_WEIGHTS = (4, 4, 3, 3, 3, 4, 5, 5, 6, 7, 9, 10, 11, 12, 13, 13, 12, 11, 9, 8, 7, 6, 5, 5)
HOURS = tuple(hour for hour, weight in enumerate(HOUR_WEIGHTS) for _ in range(weight))

# The real share is 5 %; more lets a small lake's charts show something.
SHARE_OF_CATALOGUE_PLAYS = 0.27
EXPECTED_EVENTS_PER_SESSION = 9.0
SHARE_OF_VISITORS = 0.03
SHARE_OF_LOGINS = 0.08
SHARE_OF_HOME_STARTS = 0.4
CHANCE_OF_UPGRADE = 0.02
CHANCE_OF_DOWNGRADE = 0.012
MOST_PLAYS = 110
PAUSE_AFTER_SESSION_MS = 600_000
# So many events are given the ts of another one this close, as in the real data.
SHARE_OF_SAME_TS = 0.003
NEAR_MS = 5_000

# Pages that do something and send the browser on; the others are looked at.
ACTIONS = ("Login", "Logout", "Save Settings", "Submit Upgrade", "Submit Downgrade")
WANDERINGS = ("Home",) * 12 + ("Settings",) * 3 + ("Level",) * 3 + ("Help", "Help", "About")

REQUESTS = dict.fromkeys(ACTIONS, ("PUT", 307))
REQUESTS |= {"NextSong": ("PUT", 200), "Error": ("GET", 404)}

# ts, session id, item in session, the event, and whether it plays a song of the catalogue.
Row = tuple[int, int, int, dict[str, Any], bool]
NO_VALUES = dict.fromkeys(EVENT_KEYS)


class Days:
    """The event files' lines, day by day, and what those so far hold.

    `counts` has all events, plays, and plays of a song in the catalogue.
    """

    def __init__(self, spec: SampleSpec, inside: list[Track], outside: list[Track]) -> None:
        self.counts = {"events": 0, "plays": 0, "matched_plays": 0}
        self._spec = spec
        self._rng = draw.generator(spec.seed, "events")
        self._audience = Audience(spec)
        self._inside = draw.Ranked(inside, 3 + 0.01 * len(inside))
        self._outside = draw.Ranked(outside, 3 + 0.01 * len(outside))
        self._sessions = 0
        self._made = 0

    def __iter__(self) -> Iterator[list[str]]:
        """Yield each day's lines, in the order of their ts."""
        rows: list[Row] = []
        missing = 0.0
        for day in range(self._spec.days):
            start = self._spec.start_ms + day * DAY_MS
            weekday = (self._spec.start.weekday() + day) % 7
            swing = 0.85 + 0.3 * self._rng.random()
            usual = self._spec.events_per_day * WEEKDAY_WEIGHTS[weekday]
            made_before = self._made
            # Days differ, and what one lacks the next ones make up for.
            for at in self._session_starts(start, usual * swing + missing / 2):
                rows += self._session(at)
            missing += usual - (self._made - made_before)
            rows.sort()
            cut = bisect_left(rows, (start + DAY_MS,))
            yield self._lines(rows[:cut])
            rows = rows[cut:]

    def _session_starts(self, day_ms: int, events: float) -> list[int]:
        """Return as many starts within the day as should make this number of events."""
        mean = (self._made + 40 * EXPECTED_EVENTS_PER_SESSION) / (self._sessions + 40)
        most = 4 * self._spec.events_per_day / EXPECTED_EVENTS_PER_SESSION
        count = max(1, int(min(events / mean, most) + 0.5))
        rng = self._rng
        return sorted(
            day_ms + draw.one_of(rng, HOURS) * HOUR_MS + int(rng.random() * HOUR_MS)
            for _ in range(count)
        )

    def _session(self, at: int) -> list[Row]:
        self._sessions += 1
        session = _Session(self._rng, self._sessions, at)
        is_visitor = self._rng.random() < SHARE_OF_VISITORS
        listener = None if is_visitor else self._audience.pick(self._rng, at)
        if listener is None:
            session.visit()
        else:
            session.listen(listener, self._track)
        self._made += len(session.rows)
        return session.rows

    def _track(self) -> Track:
        is_known = self._rng.random() < SHARE_OF_CATALOGUE_PLAYS
        return (self._inside if is_known else self._outside).draw(self._rng)

    def _lines(self, rows: list[Row]) -> list[str]:
        rng = self._rng
        lines = []
        chance = SHARE_OF_SAME_TS / min(1.0, len(rows) * NEAR_MS / DAY_MS) if rows else 0.0
        last_ts = ts_before = last_session = 0
        for row_ts, session_id, _, event, is_known in rows:
            ts = row_ts
            if (
                ts - last_ts < NEAR_MS
                and session_id != last_session
                # Never three alike: two of them could be one session's.
                and last_ts > ts_before
                and rng.random() < chance
            ):
                ts = last_ts
            ts_before, last_ts, last_session = last_ts, ts, session_id
            lines.append(encode(event | {"ts": ts}))
            self.counts["events"] += 1
            self.counts["plays"] += event["page"] == "NextSong"
            self.counts["matched_plays"] += is_known
        return lines


class _Session:
    """One session: its rows so far, the clock, and when the running song ends (milliseconds)."""

    def __init__(self, rng: Random, session_id: int, at: int) -> None:
        self.rows: list[Row] = []
        self._rng = rng
        self._id = session_id
        self._now = at
        self._song_end = at
        self._identity = NOBODY
        self._level = "free"

    def visit(self) -> None:
        """Somebody looks at the site and never logs in; a level is recorded all the same."""
        self._level = "free" if self._rng.random() < 0.7 else "paid"
        self._page("Home")
        self._look_around()

    def listen(self, listener: Listener, next_track: Callable[[], Track]) -> None:
        """A user's session; leaves the user's new level and next free time behind."""
        rng = self._rng
        self._level = listener.level
        is_brief = self._level == "free" or rng.random() < 0.3
        plays = 1 + draw.streak(rng, 0.5 if is_brief else 0.955, MOST_PLAYS)
        start = rng.random()
        if start < SHARE_OF_LOGINS:
            self._page("Home")
            self._look_around()
            self._page("Login")
        self._identity = listener.identity
        if start < SHARE_OF_LOGINS + SHARE_OF_HOME_STARTS:
            self._page("Home")
            plays *= rng.random() < 0.75
        chance = CHANCE_OF_UPGRADE if self._level == "free" else CHANCE_OF_DOWNGRADE
        changes_after = 1 + int(rng.random() * plays) if rng.random() < chance else 0
        played = 0
        while played < plays:
            self._play(next_track())
            played += 1
            if played == changes_after:
                self._change_level()
                plays = max(plays, played + 1 + int(5 * rng.random()))
            elif rng.random() < 0.065:
                self._wander()
        listener.level = self._level
        listener.free_at_ms = max(self._now, self._song_end) + PAUSE_AFTER_SESSION_MS
        if rng.random() < 0.09:
            self._page("Logout")
            self._identity = NOBODY
            self._page("Home")

    def _change_level(self) -> None:
        name, level = ("Upgrade", "paid") if self._level == "free" else ("Downgrade", "free")
        self._page(name)
        self._page(f"Submit {name}")
        self._level = level
        self._page("Home")

    def _wander(self) -> None:
        """The listener looks at another page while a song plays."""
        rng = self._rng
        page = draw.one_of(rng, WANDERINGS)
        if page == "Level":
            page = "Upgrade" if self._level == "free" else "Downgrade"
        if rng.random() < 0.015:
            page = "Error"
        self._page(page)
        if page == "Settings" and rng.random() < 0.2:
            self._page("Save Settings")
            self._page("Home")

    def _look_around(self) -> None:
        if (chance := self._rng.random()) < 0.12:
            self._page("About" if chance < 0.07 else "Help")

    def _play(self, track: Track) -> None:
        ts = self._now
        if self.rows:
            # The next song of a list follows at once; the first one is looked for.
            pause = 900 if self._song_end > ts else 25_000
            ts = max(ts + 400, self._song_end) + int(self._rng.random() * pause)
        self._now = ts
        self._song_end = ts + track.length_ms
        self._append("NextSong", track.values, track.matched)

    def _page(self, page: str) -> None:
        if self.rows:
            # A 307 sends the browser on at once; a person takes some seconds.
            redirected = self.rows[-1][3]["status"] == 307
            self._now += 150 + int(self._rng.random() * (900 if redirected else 45_000))
        self._append(page, {})

    def _append(self, page: str, song: dict[str, Any], matched: bool = False) -> None:
        item, (method, status) = len(self.rows), REQUESTS.get(page, ("GET", 200))
        request = {"method": method, "page": page, "status": status, "level": self._level}
        place = {"sessionId": self._id, "itemInSession": item}
        event = NO_VALUES | self._identity | request | place | song
        self.rows.append((self._now, self._id, item, event, matched))
