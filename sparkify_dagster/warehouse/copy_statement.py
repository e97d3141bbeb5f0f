"""Reading a Redshift COPY statement: its target, columns, source and options.

A general SQL parser pairs COPY's flags with one another, so the few words are read here.
Source of the rules: AWS Redshift Database Developer Guide, COPY.
"""

import re
from dataclasses import dataclass

from sparkify_dagster.warehouse.base import WarehouseError

_QUOTED = r"'(?:[^'\\]|\\.|'')*'"
_COMMENT = re.compile(rf"({_QUOTED})|--[^\n]*")
_FORM = re.compile(
    rf"\s*COPY\s+(?P<target>[\w.]+)\s*(?:\((?P<columns>[^)]*)\)\s*)?(?P<word>\S+)\s+"
    rf"(?P<source>{_QUOTED})(?P<options>.*)",
    re.DOTALL | re.IGNORECASE,
)
# Behind a word that fills in, an option with a value, a flag, or what is neither.
_OPTION = re.compile(
    rf"(?:FORMAT|AS|WITH)\b"
    rf"|(?P<name>MAXERROR|TIMEFORMAT|DATEFORMAT|REGION|COMPUPDATE|STATUPDATE|IAM_ROLE|JSON)"
    rf"\s+(?:AS\s+)?(?P<value>{_QUOTED}|\w+)"
    rf"|(?P<flag>MANIFEST|GZIP|TRUNCATECOLUMNS|BLANKSASNULL|EMPTYASNULL)\b"
    rf"|(?P<other>{_QUOTED}|\S+)",
    re.IGNORECASE,
)


@dataclass
class CopyStatement:
    """A COPY statement, taken apart."""

    target: str
    columns: list[str]
    source: str
    options: dict[str, str]  # upper case; a flag's value is ""

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
    found = _FORM.fullmatch(_COMMENT.sub(r"\1", text))
    if found is None:
        raise WarehouseError(f"not a COPY statement: {text[:40]!r}")
    if found["columns"] is None:
        raise WarehouseError("COPY without a list of columns: files and table could drift apart")
    if found["word"].upper() != "FROM":
        raise WarehouseError(f"COPY: FROM expected after the columns, found {found['word']!r}")
    options = {}
    for option in _OPTION.finditer(found["options"]):
        if option["other"]:
            raise WarehouseError(
                f"COPY: option {option['other']!r} is not one this platform carries out"
            )
        if name := option["name"] or option["flag"]:
            options[name.upper()] = _unquoted(option["value"] or "")
    if "JSON" not in options:
        raise WarehouseError("COPY: FORMAT AS JSON expected, the files of the lake are JSON")
    columns = found["columns"].replace(",", " ").split()
    return CopyStatement(found["target"], columns, _unquoted(found["source"]), options)


def _unquoted(text: str) -> str:
    return re.sub(r"^'|'$", "", text).replace("''", "'").replace("\\\\", "\\")
