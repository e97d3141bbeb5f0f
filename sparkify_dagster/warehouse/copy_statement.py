"""Reading a Redshift COPY statement: its target, columns, source and options.

A general SQL parser pairs COPY's flags with one another, so the few words are read here.
Source of the rules: AWS Redshift Database Developer Guide, COPY.
"""

import re
from dataclasses import dataclass, field

from sparkify_dagster.warehouse.base import WarehouseError

_TOKEN = re.compile(r"--[^\n]*|'((?:[^'\\]|\\.|'')*)'|([\w.]+)|([(),])|\s+")
# Options that take a value; every other word is a flag.
_VALUED = {
    "MAXERROR",
    "TIMEFORMAT",
    "DATEFORMAT",
    "REGION",
    "COMPUPDATE",
    "STATUPDATE",
    "IAM_ROLE",
    "JSON",
}
_FLAGS = {
    "MANIFEST",
    "GZIP",
    "TRUNCATECOLUMNS",
    "BLANKSASNULL",
    "EMPTYASNULL",
}
_FILLERS = {"FORMAT", "AS", "WITH"}


@dataclass
class CopyStatement:
    """A COPY statement, taken apart."""

    target: str
    columns: list[str]
    source: str
    options: dict[str, str] = field(default_factory=dict)  # upper case; a flag's value is ""

    @property
    def json_source(self) -> str:
        """Return 'auto', 'auto ignorecase' or the address of the JSONPaths file."""
        return self.options["JSON"]

    @property
    def max_errors(self) -> int:
        """Return MAXERROR, in lines; 0 and 1 both mean that the first bad line fails the load."""
        return int(self.options.get("MAXERROR", "0"))


def parse_copy(text: str) -> CopyStatement:
    """Take a rendered COPY statement apart.

    Raises:
        WarehouseError: it is not of the form this platform uses, naming the word.
    """
    words = _words(text)
    if words[0][0].upper() != "COPY":
        raise WarehouseError(f"not a COPY statement: {text[:40]!r}")
    target, position = words[1][0], 2
    if words[position] != ("(", False):
        raise WarehouseError("COPY without a list of columns: files and table could drift apart")
    end = words.index((")", False), position)
    columns = [word for word, _ in words[position + 1 : end] if word != ","]
    if words[end + 1][0].upper() != "FROM":
        raise WarehouseError(f"COPY: FROM expected after the columns, found {words[end + 1][0]!r}")
    statement = CopyStatement(target, columns, words[end + 2][0])
    rest = iter(words[end + 3 :])
    for word, quoted in rest:
        name = word.upper()
        if quoted or name not in _VALUED | _FLAGS | _FILLERS:
            raise WarehouseError(f"COPY: option {word!r} is not one this platform carries out")
        if name in _VALUED:
            value = next(rest)[0]
            statement.options[name] = next(rest)[0] if value.upper() == "AS" else value
        elif name in _FLAGS:
            statement.options[name] = ""
    if "JSON" not in statement.options:
        raise WarehouseError("COPY: FORMAT AS JSON expected, the files of the lake are JSON")
    return statement


def _words(text: str) -> list[tuple[str, bool]]:
    """Return the words of a statement, each with whether it was quoted."""
    words = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise WarehouseError(f"COPY: cannot read {text[position : position + 20]!r}")
        if match[1] is not None:
            words.append((match[1].replace("''", "'").replace("\\\\", "\\"), True))
        elif match[2] or match[3]:
            words.append((match[2] or match[3], False))
        position = match.end()
    return words
