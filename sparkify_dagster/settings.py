"""What the platform is told by its environment, read and checked in one place.

`.env.example` lists every variable with its default, unit and meaning.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import click

TARGETS = ("duckdb", "redshift")
DEFAULT_LAKE = "data/sample-lake"
DEFAULT_DUCKDB_PATH = "data/sparkify.duckdb"
DEFAULT_SCHEDULE_CRON = "0 3 * * *"
DEFAULT_TIMEZONE = "UTC"

# All that anything here reads; a name like one of these that is not here is a slip of the pen.
_NAMES = """
SPARKIFY_ALERT_WEBHOOK SPARKIFY_ASSET_KEY_PREFIX SPARKIFY_AUTOMATION SPARKIFY_BAD_FILES
SPARKIFY_COPY_MAX_ERRORS SPARKIFY_DUCKDB_PATH SPARKIFY_ENVIRONMENT SPARKIFY_ENVIRONMENT_DAYS
SPARKIFY_HISTORY_DAYS SPARKIFY_KEEP_MANIFESTS SPARKIFY_LAKE SPARKIFY_LOCK_TIMEOUT
SPARKIFY_LOG_BUCKET SPARKIFY_MANIFEST_PREFIX SPARKIFY_PART_MB SPARKIFY_REBUILD_LIMIT_ROWS
SPARKIFY_REMOVAL_LIMIT_PERCENT SPARKIFY_SCHEDULE_CRON SPARKIFY_SLICE_DAYS SPARKIFY_SNAPSHOT
SPARKIFY_TARGET SPARKIFY_TIMEZONE SPARKIFY_UI_URL
REDSHIFT_CLUSTER_ID REDSHIFT_CONNECT_TIMEOUT REDSHIFT_DATABASE REDSHIFT_HOST REDSHIFT_IAM_ROLE
REDSHIFT_KEEPALIVE REDSHIFT_PASSWORD REDSHIFT_PORT REDSHIFT_RETRIES REDSHIFT_SECRET_ARN
REDSHIFT_SLICES REDSHIFT_SSLMODE REDSHIFT_STATEMENT_TIMEOUT REDSHIFT_USER REDSHIFT_WORKGROUP
"""
VARIABLES = frozenset(_NAMES.split())
# The tests' own.
_OTHERS = re.compile(r"SPARKIFY_(TEST_.*|SCREENSHOTS|HYPOTHESIS.*)")
# What DuckDB takes for something else than a file: a scheme (md:, s3://), parameters.
_NO_PLAIN_PATH = re.compile(r"[\w.+-]*:|.*[?\0]", re.DOTALL)
_MOST = 2_147_483_647

# Short enough for a schema's name, in letters that no engine folds.
_ENVIRONMENT = re.compile(r"(?:(?!snapshot$)[a-z][a-z0-9_]{0,49})?")
PRODUCTION = "production"
_ASSET_KEY_PART = re.compile(r"[A-Za-z0-9_]+")

_log = logging.getLogger(__name__)


class SettingError(click.ClickException):
    """A variable of the environment is missing, malformed or contradicts another.

    Of a kind that the command lines, Dagster's too, print as one line instead of a traceback.
    """


@dataclass(frozen=True)
class Settings:
    """The checked settings of one process."""

    lake: str
    target: str
    environment: str  # whose tables are meant; empty: production's
    environment_days: int  # after which an environment is listed as left over
    production_path: Path  # production's DuckDB file
    lock_timeout: int  # seconds to wait for another run
    snapshot: bool  # readers of a DuckDB file have a copy of it, and never wait
    copy_max_errors: int  # MAXERROR of COPY, in lines
    skip_bad_files: bool  # load the others; else a bad line fails the load
    removal_limit: int  # percent of a table's rows or files that a run may take out unasked
    rebuild_limit: int  # rows of a table that a run may build anew unasked
    slice_days: int  # new days that one transaction takes in
    automation: bool  # sensors and schedules start switched on; never in an environment
    schedule_cron: str  # of the nightly run; Dagster checks it when it makes the schedule
    timezone: str  # of schedule_cron, an IANA name
    alert_webhook: str | None = field(repr=False)  # a secret: who has it can post
    ui_url: str | None  # where people reach the UI, without a slash at the end
    asset_key_prefix: tuple[str, ...]  # before the name of every asset, an environment's at its end
    history_days: int  # how long Dagster's runs are kept; 0: for ever

    @property
    def duckdb_path(self) -> Path:
        """Return the DuckDB file: production's, or the environment's beside it."""
        path = self.production_path
        return path.with_name(
            f"{path.stem}.{self.environment}{path.suffix}" if self.environment else path.name
        )


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings.

    Raises:
        SettingError: one line: the variable, its value, what is allowed.
    """
    if environment is None:
        check_env_file(Path(".env"))
    env = os.environ if environment is None else environment
    _refuse_unknown(env)
    lake = env.get("SPARKIFY_LAKE") or DEFAULT_LAKE
    if "://" in lake and not lake.startswith("s3://"):
        raise SettingError(
            f"SPARKIFY_LAKE={lake!r}: allowed are a local folder or s3://bucket/prefix"
        )
    environment_name = _environment(env)
    return Settings(
        lake=lake,
        environment=environment_name,
        environment_days=whole_number(env, "SPARKIFY_ENVIRONMENT_DAYS", default=14),
        target=_choice(env, "SPARKIFY_TARGET", TARGETS),
        production_path=_plain_path(env, "SPARKIFY_DUCKDB_PATH", DEFAULT_DUCKDB_PATH),
        lock_timeout=whole_number(env, "SPARKIFY_LOCK_TIMEOUT", default=300),
        snapshot=_choice(env, "SPARKIFY_SNAPSHOT", ("on", "off")) == "on",
        copy_max_errors=whole_number(env, "SPARKIFY_COPY_MAX_ERRORS", default=0),
        skip_bad_files=_choice(env, "SPARKIFY_BAD_FILES", ("stop", "skip")) == "skip",
        removal_limit=whole_number(env, "SPARKIFY_REMOVAL_LIMIT_PERCENT", default=10, most=100),
        rebuild_limit=whole_number(env, "SPARKIFY_REBUILD_LIMIT_ROWS", default=10_000_000),
        slice_days=whole_number(env, "SPARKIFY_SLICE_DAYS", default=366, least=1),
        automation=_choice(env, "SPARKIFY_AUTOMATION", ("off", "on")) == "on"
        and not environment_name,
        schedule_cron=env.get("SPARKIFY_SCHEDULE_CRON") or DEFAULT_SCHEDULE_CRON,
        timezone=_timezone(env, "SPARKIFY_TIMEZONE"),
        alert_webhook=_web_address(env, "SPARKIFY_ALERT_WEBHOOK", is_secret=True),
        ui_url=_web_address(env, "SPARKIFY_UI_URL"),
        asset_key_prefix=(
            *_asset_key(env, "SPARKIFY_ASSET_KEY_PREFIX"),
            *([environment_name] if environment_name else []),
        ),
        history_days=whole_number(env, "SPARKIFY_HISTORY_DAYS", default=0),
    )


def check_env_file(path: Path) -> None:
    """Make sure that a `.env` says what its reader takes from it.

    Raises:
        SettingError: it is no UTF-8, or a line is malformed, as where a quote is not closed.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return
    if fault := _fault_of_env_file(content):
        raise SettingError(f"{path.resolve()}: {fault}")


@cache
def _fault_of_env_file(content: bytes) -> str:
    from io import StringIO

    from dotenv.parser import parse_stream

    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8; save the file as UTF-8"
    if text.startswith("\ufeff"):
        return "begins with a byte order mark; save the file as UTF-8 without one"
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            return f"line {binding.original.line} cannot be read; is a quote not closed?"
    return ""


def _refuse_unknown(env: Mapping[str, str]) -> None:
    for name in sorted(env):
        prefix = name.upper().partition("_")[0]
        if prefix not in ("SPARKIFY", "REDSHIFT") or name in VARIABLES or _OTHERS.fullmatch(name):
            continue
        from difflib import get_close_matches

        near = get_close_matches(name.upper(), VARIABLES, n=1, cutoff=0)[0]
        if prefix == "SPARKIFY":
            raise SettingError(f"{name}: is no setting; did you mean {near}? (.env.example)")
        _warn_of(name, near)


@cache
def _warn_of(name: str, near: str) -> None:
    _log.warning("%s: is no setting and has no effect; did you mean %s?", name, near)


def whole_number(
    env: Mapping[str, str], name: str, default: int, least: int = 0, most: int = _MOST
) -> int:
    """Return a variable as a whole number between `least` and `most`.

    Raises:
        SettingError: it is something else.
    """
    value = env.get(name) or str(default)
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(_MOST))
    if not is_number or not least <= int(value) <= most:
        shown = value if len(value) <= 40 else f"{value[:40]}..."
        raise SettingError(
            f"{name}={shown!r}: allowed is a whole number from {least}"
            + f" to {most}" * (most < _MOST)
        )
    return int(value)


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name) or allowed[0]
    if value not in allowed:
        raise SettingError(f"{name}={value!r}: allowed are {', '.join(allowed)}")
    return value


def _environment(env: Mapping[str, str]) -> str:
    value = env.get("SPARKIFY_ENVIRONMENT") or ""
    if not _ENVIRONMENT.fullmatch(value):
        raise SettingError(
            f"SPARKIFY_ENVIRONMENT={value!r}: allowed is a name of a-z, 0-9 and _ that begins with "
            "a letter and has 50 characters at most, as pr_42; but for the word snapshot"
        )
    return "" if value == PRODUCTION else value


def _asset_key(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    value = env.get(name)
    if not value:
        return ()
    parts = tuple(value.split("/"))
    if not all(_ASSET_KEY_PART.fullmatch(part) for part in parts):
        raise SettingError(
            f"{name}={value!r}: allowed are names of letters, digits and _, with / between them, "
            "as music/sparkify"
        )
    return parts


def _plain_path(env: Mapping[str, str], name: str, default: str) -> Path:
    value = env.get(name) or default
    if _NO_PLAIN_PATH.match(value):
        raise SettingError(
            f"{name}={value!r}: allowed is the path of a local file, without '?' and without ':' "
            "in the first name"
        )
    return Path(value)


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
        allowed = "an address as https://host/path"
    elif "@" in parts.netloc:
        allowed = "an address without user and password, which nobody would be sent"
    else:
        return value.rstrip("/") if not is_secret else value
    shown = " (its value is a secret and not shown)" if is_secret else f"={value!r}"
    raise SettingError(f"{name}{shown}: allowed is {allowed}")
