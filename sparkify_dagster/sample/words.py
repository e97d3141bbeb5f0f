"""The words of words.yaml, and text as the real files hold it: JSON escapes, broken encoding."""

import json
from pathlib import Path
from typing import Any

import yaml


def _listed(found: Any) -> list[Any]:
    """Return words as a list: those of a text, or patterns as often as their number says."""
    if isinstance(found, dict):
        return [pattern for pattern, times in found.items() for _ in range(times)]
    return found.split() if isinstance(found, str) else list(found)


_ENCODER = json.JSONEncoder(separators=(",", ":"))
_TEXT = Path(__file__).with_name("words.yaml").read_text(encoding="utf-8")
WORDS = {name: _listed(found) for name, found in yaml.safe_load(_TEXT).items()}


def plural(noun: str) -> str:
    """Return the plural of one of the nouns."""
    if noun.endswith("y") and noun[-2] not in "aeo":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "ch", "x")) else f"{noun}s"


def encode(value: object) -> str:
    r"""Return a value as JSON in the real files' spelling: ASCII, `\uXXXX`, and `/` as `\/`."""
    return _ENCODER.encode(value).replace("/", "\\/")


def garble(text: str) -> str:
    """Return text as the events spell it: UTF-8 read as Latin-1, twice; ASCII stays as it is."""
    for _ in range(2):
        text = text.encode("utf-8").decode("latin-1")
    return text
