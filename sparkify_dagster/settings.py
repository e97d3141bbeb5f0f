"""What the platform is told by its environment, read and checked in one place.

`.env.example` lists every variable with its default, unit and meaning.
"""

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import click

TARGETS = ("duckdb", "redshift")
DEFAULT_LAKE = "data/sample-lake"
DEFAULT_DUCKDB_PATH = "data/sparkify.duckdb"
DEFAULT_PARTITION_START = dt.date(2018, 11, 1)
DEFAULT_SCHEDULE_CRON = "0 3 * * *"
DEFAULT_TIMEZONE = "UTC"


class SettingError(click.ClickException):
    """A variable of the environment is missing, malformed or contradicts another.

    Of a kind that the command lines, Dagster's too, print as one line instead of a traceback.
    """


@dataclass(frozen=True)
class Settings:
    """The checked settings of one process."""

    lake: str
    target: str
    duckdb_path: Path
    partition_start: dt.date
    partition_end: dt.date | None
    lock_timeout: int  # seconds to wait for another run
    copy_max_errors: int  # MAXERROR of COPY, in lines
    automation: bool  # sensors and schedules start switched on
    schedule_cron: str  # of the nightly run; Dagster checks it when it makes the schedule
    timezone: str  # of schedule_cron, an IANA name
    alert_webhook: str | None = field(repr=False)  # a secret: who has it can post
    ui_url: str | None  # where people reach the UI, without a slash at the end


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings.

    Raises:
        SettingError: one line: the variable, its value, what is allowed.
    """
    env = os.environ if environment is None else environment
    lake = env.get("SPARKIFY_LAKE") or DEFAULT_LAKE
    if "://" in lake and not lake.startswith("s3://"):
        raise SettingError(
            f"SPARKIFY_LAKE={lake!r}: allowed are a local folder or s3://bucket/prefix"
        )
    sample = _sample_days(lake)
    start = _date(env, "SPARKIFY_PARTITION_START") or (sample and sample[0])
    end = _date(env, "SPARKIFY_PARTITION_END") or (sample and sample[1])
    start = start or DEFAULT_PARTITION_START
    if end and end < start:
        raise SettingError(
            f"SPARKIFY_PARTITION_END={end}: has to be {start} (SPARKIFY_PARTITION_START) or later"
        )
    return Settings(
        lake=lake,
        target=_choice(env, "SPARKIFY_TARGET", TARGETS),
        duckdb_path=Path(env.get("SPARKIFY_DUCKDB_PATH") or DEFAULT_DUCKDB_PATH),
        partition_start=start,
        partition_end=end,
        lock_timeout=whole_number(env, "SPARKIFY_LOCK_TIMEOUT", default=300),
        copy_max_errors=whole_number(env, "SPARKIFY_COPY_MAX_ERRORS", default=0),
        automation=_choice(env, "SPARKIFY_AUTOMATION", ("off", "on")) == "on",
        schedule_cron=env.get("SPARKIFY_SCHEDULE_CRON") or DEFAULT_SCHEDULE_CRON,
        timezone=_timezone(env, "SPARKIFY_TIMEZONE"),
        alert_webhook=_web_address(env, "SPARKIFY_ALERT_WEBHOOK", is_secret=True),
        ui_url=_web_address(env, "SPARKIFY_UI_URL"),
    )


def whole_number(
    env: Mapping[str, str], name: str, default: int, least: int = 0, most: int | None = None
) -> int:
    """Return a variable as a whole number between `least` and `most`.

    Raises:
        SettingError: it is something else.
    """
    value = env.get(name) or str(default)
    allowed = f"a whole number from {least}" + ("" if most is None else f" to {most}")
    if not value.isascii() or not value.isdigit():
        raise SettingError(f"{name}={value!r}: allowed is {allowed}")
    if int(value) < least or (most is not None and int(value) > most):
        raise SettingError(f"{name}={value!r}: allowed is {allowed}")
    return int(value)


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name) or allowed[0]
    if value not in allowed:
        raise SettingError(f"{name}={value!r}: allowed are {', '.join(allowed)}")
    return value


def _date(env: Mapping[str, str], name: str) -> dt.date | None:
    value = env.get(name)
    if not value:
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise SettingError(f"{name}={value!r}: allowed is a date as 2018-11-01") from None


def _timezone(env: Mapping[str, str], name: str) -> str:
    value = env.get(name) or DEFAULT_TIMEZONE
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):
        # Not found, not a name at all, or the name of a folder of zones.
        raise SettingError(
            f"{name}={value!r}: allowed is an IANA time zone as UTC or Europe/Berlin"
        ) from None


def _web_address(env: Mapping[str, str], name: str, is_secret: bool = False) -> str | None:
    value = env.get(name)
    if not value:
        return None
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not value.isascii() or not value.isprintable() or " " in value:
        shown = " (its value is a secret and not shown)" if is_secret else f"={value!r}"
        raise SettingError(f"{name}{shown}: allowed is an address as https://host/path")
    return value.rstrip("/") if not is_secret else value


def _sample_days(lake: str) -> tuple[dt.date, dt.date] | None:
    """Return the first and last day of a sample lake, which says them itself."""
    marker = Path(lake) / "sample.json"
    if "://" in lake or not marker.is_file():
        return None
    facts = json.loads(marker.read_text(encoding="utf-8"))
    return dt.date.fromisoformat(facts["start"]), dt.date.fromisoformat(facts["end"])
