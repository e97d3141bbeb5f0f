"""Writing the platform's values into `.env` without touching the rest of it."""

import os
import re
import tempfile
from pathlib import Path

# Of these a `.env` names the one that fits the warehouse; the other would contradict it.
EITHER = ("REDSHIFT_WORKGROUP", "REDSHIFT_CLUSTER_ID")


def merged(text: str, values: dict[str, str]) -> str:
    """Return the `.env` text with `values` set in place, new ones at the end, other lines kept.

    A line that sets the warehouse name of the other kind is dropped; of a variable that is set
    twice the last line counts, so both are set.
    """
    left, lines = dict(values), []
    for line in text.splitlines():
        match = re.match(r"\s*(?:export\s+)?(\w+)\s*=", line)
        key = match[1] if match else ""
        if key in values:
            lines.append(f"{key}={values[key]}")
            left.pop(key, None)
        elif key not in EITHER:
            lines.append(line)
    lines += [f"{key}={value}" for key, value in left.items()]
    return "\n".join(lines) + "\n"


def write_env(path: Path, values: dict[str, str]) -> bool:
    """Set `values` in the file, made where absent, readable by its owner only; atomic.

    Returns whether anything changed. Raises OSError where the file cannot be written.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new = merged(old, values)
    if new == old:
        return False
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".env-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(new)
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True
