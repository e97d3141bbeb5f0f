"""What the platform is told by its environment, read and checked in one place.

`.env.example` lists every variable with its default, unit and meaning.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import click

PRODUCTION = "production"
DEFAULT_LAKE = "data/sample-lake"

# What else is read of the environment; a name like one of these that is not here, nor of a field
# of Settings, is a slip of the pen.
_OTHER_NAMES = """
SPARKIFY_KEEP_MANIFESTS SPARKIFY_LOG_BUCKET SPARKIFY_MANIFEST_PREFIX SPARKIFY_PART_MB
REDSHIFT_CLUSTER_ID REDSHIFT_CONNECT_TIMEOUT REDSHIFT_DATABASE REDSHIFT_HOST REDSHIFT_IAM_ROLE
REDSHIFT_KEEPALIVE REDSHIFT_PASSWORD REDSHIFT_PORT REDSHIFT_RETRIES REDSHIFT_SECRET_ARN
REDSHIFT_SLICES REDSHIFT_SSLMODE REDSHIFT_STATEMENT_TIMEOUT REDSHIFT_USER REDSHIFT_WORKGROUP
"""
# The tests' own.
_OF_TESTS = re.compile(r"SPARKIFY_(TEST_.*|SCREENSHOTS|HYPOTHESIS.*)")
_MOST = 2_147_483_647

# What a text has to be, as a pattern and in words.
_LAKE = (r"s3://.*|(?!.*://).*", "allowed are a local folder or s3://bucket/prefix")
# Short enough for a schema's name, in letters that no engine folds.
_ENVIRONMENT = (
    r"(?:(?!snapshot$)[a-z][a-z0-9_]{0,49})?",
    "allowed is a name of a-z, 0-9 and _ that begins with a letter and has 50 characters at most, "
    "as pr_42; but for the word snapshot",
)
# Not what DuckDB takes for something else than a file: a scheme (md:, s3://), parameters.
_PLAIN_PATH = (
    r"(?![\w.+-]*:|.*[?\0]).*",
    "allowed is the path of a local file, without '?' and without ':' in the first name",
)
_ASSET_KEY = (
    r"(?:[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)*)?",
    "allowed are names of letters, digits and _, with / between them, as music/sparkify",
)

Variables = Mapping[str, str]

_log = logging.getLogger(__name__)


class SettingError(click.ClickException):
    """A variable of the environment is missing, malformed or contradicts another.

    Of a kind that the command lines, Dagster's too, print as one line instead of a traceback.
    """


def whole_number(env: Variables, name: str, default: int, least: int = 0, most: int = _MOST) -> int:
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


def _text(env: Variables, name: str, default: str, pattern: str = ".*", allowed: str = "") -> str:
    value = env.get(name) or default
    if not re.fullmatch(pattern, value, re.DOTALL):
        raise SettingError(f"{name}={value!r}: {allowed}")
    return value


def _choice(env: Variables, name: str, *allowed: str) -> str:
    return _text(env, name, allowed[0], "|".join(allowed), f"allowed are {', '.join(allowed)}")


def _is(env: Variables, name: str, meant: str, *allowed: str) -> bool:
    return _choice(env, name, *allowed) == meant


def _automation(env: Variables, name: str, meant: str, *allowed: str) -> bool:
    return _is(env, name, meant, *allowed) and not _environment(env)


def _environment(env: Variables, name: str = "SPARKIFY_ENVIRONMENT") -> str:
    value = _text(env, name, "", *_ENVIRONMENT)
    return "" if value == PRODUCTION else value


def _path(env: Variables, name: str, default: str) -> Path:
    return Path(_text(env, name, default, *_PLAIN_PATH))


def _asset_key_prefix(env: Variables, name: str) -> tuple[str, ...]:
    parts = (*_text(env, name, "", *_ASSET_KEY).split("/"), _environment(env))
    return tuple(filter(None, parts))


def _timezone(env: Variables, name: str) -> str:
    value = env.get(name) or "UTC"
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):
        # Not found, not a name at all, or the name of a folder of zones.
        raise SettingError(
            f"{name}={value!r}: allowed is an IANA time zone as UTC or Europe/Berlin"
        ) from None


def _web_address(env: Variables, name: str, is_secret: bool = False) -> str | None:
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


def _from(name: str, read: Callable[..., object], *default: object, **how: object) -> Any:
    """Return a field that `read` takes from a variable; a secret is left out where it is shown."""
    metadata = {"name": name, "read": lambda env: read(env, name, *default, **how)}
    return field(repr="is_secret" not in how, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The checked settings of one process; their meaning and units stand in .env.example."""

    lake: str = _from("SPARKIFY_LAKE", _text, DEFAULT_LAKE, *_LAKE)
    # Empty: production's tables are meant.
    environment: str = _from("SPARKIFY_ENVIRONMENT", _environment)
    environment_days: int = _from("SPARKIFY_ENVIRONMENT_DAYS", whole_number, 14)
    target: str = _from("SPARKIFY_TARGET", _choice, "duckdb", "redshift")
    production_path: Path = _from("SPARKIFY_DUCKDB_PATH", _path, "data/sparkify.duckdb")  # noqa: RUF009
    lock_timeout: int = _from("SPARKIFY_LOCK_TIMEOUT", whole_number, 300)
    snapshot: bool = _from("SPARKIFY_SNAPSHOT", _is, "on", "on", "off")
    copy_max_errors: int = _from("SPARKIFY_COPY_MAX_ERRORS", whole_number, 0)
    skip_bad_files: bool = _from("SPARKIFY_BAD_FILES", _is, "skip", "stop", "skip")
    removal_limit: int = _from("SPARKIFY_REMOVAL_LIMIT_PERCENT", whole_number, 10, most=100)
    rebuild_limit: int = _from("SPARKIFY_REBUILD_LIMIT_ROWS", whole_number, 10_000_000)
    slice_days: int = _from("SPARKIFY_SLICE_DAYS", whole_number, 366, least=1)
    # Sensors and schedules start switched on; never in an environment.
    automation: bool = _from("SPARKIFY_AUTOMATION", _automation, "on", "off", "on")
    # Checked by Dagster when it makes the schedule.
    schedule_cron: str = _from("SPARKIFY_SCHEDULE_CRON", _text, "0 3 * * *")
    timezone: str = _from("SPARKIFY_TIMEZONE", _timezone)
    # A secret: who has it can post.
    alert_webhook: str | None = _from("SPARKIFY_ALERT_WEBHOOK", _web_address, is_secret=True)
    ui_url: str | None = _from("SPARKIFY_UI_URL", _web_address)
    # With an environment's name at its end.
    asset_key_prefix: tuple[str, ...] = _from("SPARKIFY_ASSET_KEY_PREFIX", _asset_key_prefix)
    history_days: int = _from("SPARKIFY_HISTORY_DAYS", whole_number, 0)

    @property
    def duckdb_path(self) -> Path:
        """Return the DuckDB file: production's, or the environment's beside it."""
        path = self.production_path
        return path.with_name(
            f"{path.stem}.{self.environment}{path.suffix}" if self.environment else path.name
        )


VARIABLES = {one.metadata["name"] for one in fields(Settings)}.union(_OTHER_NAMES.split())


def load_settings(environment: Variables | None = None) -> Settings:
    """Read and check the settings.

    Raises:
        SettingError: one line: the variable, its value, what is allowed.
    """
    if environment is None:
        check_env_file(Path(".env"))
    env = os.environ if environment is None else environment
    _refuse_unknown(env)
    return Settings(**{one.name: one.metadata["read"](env) for one in fields(Settings)})


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


def _refuse_unknown(env: Variables) -> None:
    for name in sorted(env):
        prefix = name.upper().partition("_")[0]
        if prefix not in ("SPARKIFY", "REDSHIFT") or name in VARIABLES or _OF_TESTS.fullmatch(name):
            continue
        from difflib import get_close_matches

        near = get_close_matches(name.upper(), VARIABLES, n=1, cutoff=0)[0]
        if prefix == "SPARKIFY":
            raise SettingError(f"{name}: is no setting; did you mean {near}? (.env.example)")
        _warn_of(name, near)


@cache
def _warn_of(name: str, near: str) -> None:
    _log.warning("%s: is no setting and has no effect; did you mean %s?", name, near)
