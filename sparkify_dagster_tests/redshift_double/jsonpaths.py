"""JSONPaths files: which value of an object goes into which column."""

import json
import re
from dataclasses import dataclass
from typing import Any

from .catalog import TableColumn
from .errors import ServerError
from .values import FieldError

Path = list[str | int]
_BRACKET = re.compile(r"\[\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|(\d+))\s*\]")
_DOT = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def _invalid(text: str) -> ServerError:
    return ServerError("XX000", f"Invalid JSONPath format: {text}")


def parse_path(text: str) -> Path:
    """Read one expression in dot or bracket notation; `$` alone is refused, and wildcards.

    Raises ServerError XX000.
    """
    rest = text.strip()
    if not rest.startswith("$") or "*" in rest:
        raise _invalid(text)
    rest = rest[1:]
    pattern = _BRACKET if _is_bracket(rest) else _DOT
    path: Path = []
    while rest:
        match = pattern.match(rest)
        if match is None:
            raise _invalid(text)
        *names, index = match.groups()
        path.append(int(index) if index is not None else next(n for n in names if n is not None))
        rest = rest[match.end() :]
    if not path:
        raise _invalid(text)
    return path


def _is_bracket(rest: str) -> bool:
    return rest.startswith(("['", '["'))


@dataclass(frozen=True)
class Mapping:
    """Picks the values of an object for the columns in order."""

    paths: list[Path] | None
    names: list[str]
    ignore_case: bool = False

    def pick(self, record: dict[str, Any]) -> list[Any]:
        """Give one value a column; a key that is absent gives None.

        Raises FieldError where a path meets a missing array element.
        """
        if self.paths is not None:
            return [_follow(record, path) for path in self.paths]
        if self.ignore_case:
            record = {key.lower(): value for key, value in record.items()}
        return [record.get(name) for name in self.names]


def _follow(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                raise FieldError(1216, "Not an array or index out of range")
            value = value[step]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
        if value is None:
            return None
    return value


def mapping(option: str, paths_file: bytes | None, columns: list[TableColumn]) -> Mapping:
    """Build the mapping of a COPY's JSON option.

    option: 'auto', 'auto ignorecase' or the URL of the file whose bytes are given. Entry i
    belongs to column i. A file without the exact key `jsonpaths` silently means 'auto'.
    Raises ServerError XX000 for a malformed file or unequal counts.
    """
    names = [column.name for column in columns]
    if paths_file is None:
        return Mapping(None, names, ignore_case=option.lower() == "auto ignorecase")
    try:
        content = json.loads(paths_file)
    except ValueError as error:
        raise _invalid(f"{option} is not valid JSON") from error
    if not isinstance(content, dict) or "jsonpaths" not in content:
        return Mapping(None, names)
    entries = content["jsonpaths"]
    if not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
        raise _invalid("jsonpaths must be an array of strings")
    paths = [parse_path(entry) for entry in entries]
    if len({_is_bracket(entry.strip()[1:]) for entry in entries}) > 1:
        raise _invalid("dot and bracket notation are mixed")
    if len(paths) != len(columns):
        raise ServerError(
            "XX000",
            "Number of jsonpaths and the number of columns should match. JSONPath size: "
            f"{len(paths)}, Number of columns in table or column list: {len(columns)}",
        )
    return Mapping(paths, names)
