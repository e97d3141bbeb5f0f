"""Text as the real files hold it: JSON escapes, and the events' broken encoding."""

import json


def encode(value: object) -> str:
    r"""Return a value as JSON in the real files' spelling: ASCII, `\uXXXX`, and `/` as `\/`."""
    return json.dumps(value, ensure_ascii=True).replace("/", "\\/")


def garble(text: str) -> str:
    """Return text as the events spell it: UTF-8 read as Latin-1, twice; ASCII stays as it is."""
    for _ in range(2):
        text = text.encode("utf-8").decode("latin-1")
    return text
