"""The days that a person names, as text."""

import datetime as dt
import re
from collections.abc import Collection

from sparkify_dagster.lake.base import LakeError

_PART = re.compile(r"\s*(\d{4}-\d\d-\d\d)\s*(?:\.\.\s*(\d{4}-\d\d-\d\d)\s*)?", re.ASCII)


def parse_days(text: str, in_lake: Collection[dt.date]) -> list[dt.date]:
    """Return the days that `2018-11-05`, `2018-11-01..2018-11-05` or several with commas name.

    A day between the first and the last of the lake need not have a file.

    Raises:
        LakeError: it is no such text, or a day lies before the first or after the last.
    """
    first, last = min(in_lake), max(in_lake)
    found: set[dt.date] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        one, other = match.group(1, 2) if match else ("", "")
        try:
            start, end = dt.date.fromisoformat(one), dt.date.fromisoformat(other or one)
        except ValueError:  # malformed, or as 2018-02-30
            start, end = dt.date.max, dt.date.min
        if not first <= start <= end <= last:
            raise LakeError(
                f"days={text!r}: {part.strip()!r} is no day of the lake, which has {first} to "
                f"{last}; allowed are a day as {last}, a range as {first}..{last}, several with "
                "commas between"
            )
        found.update(start + dt.timedelta(days=number) for number in range((end - start).days + 1))
    return sorted(found)
