"""JSONPaths files: which key of an object goes into which column, by position."""

import json
import re

from sparkify_dagster.lake.base import LakeError

# The keys of an event in the order of the files, which is the order of the JSONPaths too.
_KEYS = """
artist auth firstName gender itemInSession lastName length level location method page registration
sessionId song status ts userAgent userId
"""
EVENT_KEYS = tuple(_KEYS.split())

_STEP = re.compile(r"""\.([^.\[\]'"]+)|\['([^']+)'\]|\["([^"]+)"\]|\[(?P<index>\d+)\]""")


def parse_jsonpaths(place: str, content: bytes) -> list[str]:
    """Return the paths of a JSONPaths file.

    Redshift reads a file whose key is not exactly `jsonpaths` as if 'auto' had been asked for;
    here it is an error, as nobody wants the NULLs that follow.

    Raises:
        LakeError: it is not such a file, or a path is not one that Redshift takes.
    """
    try:
        paths = json.loads(content)["jsonpaths"]
    except (ValueError, KeyError, TypeError):
        paths = None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise LakeError(
            f'{place}: is no JSONPaths file ({{"jsonpaths": ["$[\'artist\']", ...]}} expected)'
        )
    for path in paths:
        path_steps(place, path)
    return paths


def path_steps(place: str, path: str) -> list[str | int]:
    """Return the keys and indices a JSONPath goes through.

    Raises:
        LakeError: the path is malformed or uses a wildcard, which Redshift does not take.
    """
    steps: list[str | int] = []
    position = 1
    while path.startswith("$") and position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            break
        steps.append(int(match["index"]) if match["index"] else match[match.lastindex or 0])
        position = match.end()
    if not steps or position < len(path) or "*" in path:
        raise LakeError(f"{place}: {path!r} is no JSONPath that Redshift takes")
    return steps
