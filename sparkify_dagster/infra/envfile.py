"""Writing the platform's values into `.env` without touching the rest of it."""

import re
import shutil
from pathlib import Path

# Other ways to log in, which the platform's settings refuse beside a secret.
_OTHER_WAYS = ("REDSHIFT_WORKGROUP", "REDSHIFT_CLUSTER_ID", "REDSHIFT_USER", "REDSHIFT_PASSWORD")


def merged(text: str, values: dict[str, str]) -> str:
    """Return the text with `values` set in place, new ones at the end, other lines kept.

    Lines that would contradict become comments. A secret of one's own, such as the loading user's,
    is kept: only one that AWS manages for an admin (`redshift!...`) is replaced.
    """
    left, lines = dict(values), []
    for line in text.splitlines():
        match = re.match(r"\s*(?:export\s+)?(\w+)\s*=(.*)", line)
        key, value = match.groups() if match else ("", "")
        is_own = key == "REDSHIFT_SECRET_ARN" and value.strip() and ":secret:redshift!" not in value
        is_set = key in values and not is_own
        lines.append(f"{key}={values[key]}" if is_set else "#" * (key in _OTHER_WAYS) + line)
        left.pop(key, None)
    return "\n".join([*lines, *(f"{key}={value}" for key, value in left.items())]) + "\n"


def write_env(path: Path, values: dict[str, str]) -> str:
    """Set `values` in the file, atomically; a new one is readable by its owner only.

    Returns what the file holds then. Raises OSError where it cannot be written.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if (new := merged(old, values)) != old:
        fresh = path.with_name(f"{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(new, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, fresh)
        fresh.replace(path)
    return new
