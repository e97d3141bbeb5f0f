"""Telling what has changed in the lake since the last look, from a text of bounded size.

The text is a sensor's cursor: where a sensor stopped, it goes on, after a restart too.

Both kinds of files are compared as a whole, by name, size and ETag (in a folder: modification
time). A mark of "the newest file so far" would not do: it loses files of the same second, files
that come late under an old time (a copy that preserves times), and files that have gone.
"""

import base64
import datetime as dt
import hashlib
import json
from binascii import hexlify
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sparkify_dagster.lake.base import Page, SourceFile

_VERSION = 1
# A mark a day: 30 bits. One change in a thousand million is overlooked, until the nightly run;
# ten years of days take 20 kB.
_MARK = 5
_NO_FILE = "." * _MARK
# Of an MD5, which every warehouse can make as well; as a sum of any order, 57 bits.
_DIGITS, _DECIMAL = 18, bytes.maketrans(b"abcdef", b"012345")


class CursorError(Exception):
    """A text that is not one of those written here."""


@dataclass(frozen=True)
class DaysSeen:
    """The day files at the last look that found a change."""

    requests: int  # how many changes were found so far
    marks: Mapping[dt.date, str]


NO_DAYS_SEEN = DaysSeen(0, {})


def day_marks(files: Iterable[SourceFile]) -> dict[dt.date, str]:
    """Return a mark for each day, another one whenever the day's files are others."""
    of_day = defaultdict(list)
    for file in files:
        if file.day is not None:
            of_day[file.day].append(f"{file.name}\n{file.size}\n{file.version}")
    digests = {day: _digest("\n\n".join(sorted(files))) for day, files in of_day.items()}
    return {day: base64.urlsafe_b64encode(of).decode()[:_MARK] for day, of in digests.items()}


def compare_days(
    before: Mapping[dt.date, str], now: Mapping[dt.date, str]
) -> dict[str, list[dt.date]]:
    """Return the days that are new, changed and removed, in order, where there are any."""
    found = {
        "new": now.keys() - before.keys(),
        "changed": {day for day in now.keys() & before.keys() if now[day] != before[day]},
        "removed": before.keys() - now.keys(),
    }
    return {what: sorted(days) for what, days in found.items() if days}


def pack_days(seen: DaysSeen) -> str:
    """Return the text of what was seen: a string of marks a month, one for each day of it."""
    months: dict[str, list[str]] = {}
    for day, mark in sorted(seen.marks.items()):
        row = months.setdefault(f"{day:%Y-%m}", [])
        row += [_NO_FILE] * (day.day - 1 - len(row)) + [mark]
    return _pack(n=seen.requests, months={month: "".join(row) for month, row in months.items()})


def unpack_days(text: str) -> DaysSeen:
    """Return what was seen, from its text.

    Raises:
        CursorError: it is no such text.
    """
    with _unpacked(text) as fields:
        marks = {
            dt.date.fromisoformat(f"{month}-{at // _MARK + 1:02d}"): row[at : at + _MARK]
            for month, row in fields["months"].items()
            for at in range(0, len(row), _MARK)
            if row[at : at + _MARK] != _NO_FILE
        }
        return DaysSeen(int(fields["n"]), marks)


@dataclass(frozen=True)
class Total:
    """Any number of files as one number: each adds to it, in whatever order and portions."""

    count: int = 0
    checksum: int = 0  # of names, sizes and versions, as bookkeeping/known_total makes it

    def plus(self, files: Iterable[SourceFile]) -> "Total":
        """Return the total with some more files."""
        count, checksum = self.count, self.checksum
        for file in files:
            # A file name in a folder need not be UTF-8.
            text = f"{file.name}/{file.size}/{file.version}".encode("utf-8", "surrogateescape")
            digest = hexlify(hashlib.md5(text, usedforsecurity=False).digest())
            checksum += int(digest[:_DIGITS].translate(_DECIMAL))
            count += 1
        return Total(count, checksum)


@dataclass(frozen=True)
class SongsSeen:
    """How far the song files were looked through, and what the last whole look gave."""

    requests: int = 0  # how many changes were found so far
    resume_after: str = ""
    so_far: Total = Total()
    whole: Total | None = None


def look_through(seen: SongsSeen, page: Page) -> SongsSeen:
    """Return what is seen once one more page of the listing was looked through.

    A lake without any song file counts as out of reach, not as changed.
    """
    so_far = seen.so_far.plus(page.files)
    if page.resume_after is not None:
        return replace(seen, resume_after=page.resume_after, so_far=so_far)
    if not so_far.count or so_far == seen.whole:
        return SongsSeen(seen.requests, whole=seen.whole)
    return SongsSeen(seen.requests + 1, whole=so_far)


def pack_songs(seen: SongsSeen) -> str:
    """Return the text of what was seen."""
    return _pack(
        n=seen.requests,
        after=seen.resume_after,
        so_far=(seen.so_far.count, f"{seen.so_far.checksum:x}"),
        whole=seen.whole and (seen.whole.count, f"{seen.whole.checksum:x}"),
    )


def unpack_songs(text: str) -> SongsSeen:
    """Return what was seen, from its text.

    Raises:
        CursorError: it is no such text.
    """
    with _unpacked(text) as fields:
        so_far, whole = fields["so_far"], fields["whole"]
        return SongsSeen(
            int(fields["n"]), str(fields["after"]), _total(so_far), _total(whole) if whole else None
        )


def request_key(source: str, requests: int, text: str) -> str:
    """Return a key that only the request for this very change has.

    The number in it tells a change back to an earlier state from that earlier state, which was
    another request; the digest tells two changes apart where the first one's text was not kept.
    """
    return f"{source}-{requests}-{_digest(text).hex()}"


def describe_days(days: Iterable[dt.date], most: int = 10) -> str:
    """Return days in words: neighbours as one range, at most `most` ranges."""
    runs: list[tuple[dt.date, dt.date]] = []
    for day in sorted(days):
        if runs and day - runs[-1][1] == dt.timedelta(days=1):
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    words = [f"{first}" if first == last else f"{first} to {last}" for first, last in runs]
    left_out = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + left_out


def _digest(text: str) -> bytes:
    # A file name in a folder need not be UTF-8.
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _total(fields: Any) -> Total:
    count, checksum = fields
    return Total(int(count), int(checksum, 16))


def _pack(**fields: Any) -> str:
    return json.dumps({"v": _VERSION, **fields}, separators=(",", ":"))


@contextmanager
def _unpacked(text: str) -> Iterator[dict[str, Any]]:
    try:
        fields = json.loads(text)
        if fields["v"] != _VERSION:
            raise CursorError(f"not of version {_VERSION}")
        yield fields
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CursorError(f"{type(error).__name__}: {error}") from error
