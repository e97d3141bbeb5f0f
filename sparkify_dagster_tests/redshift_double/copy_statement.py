"""The COPY statement: its options, read by our own hand.

sqlglot pairs COPY's flags wrongly, so the tokens are read here. Options and their
conflicts follow the AWS Redshift Database Developer Guide, COPY.
"""

import re
from dataclasses import dataclass

from . import lexical
from .ddl import _dotted
from .errors import ServerError, not_emulated, syntax_error
from .lexical import Token

_ROLE = re.compile(r"arn:aws(-cn|-us-gov)?:iam::\d{12}:role/\S+")
_NOT_WITH_JSON = {
    "CSV", "DELIMITER", "ESCAPE", "FILLRECORD", "FIXEDWIDTH", "IGNOREBLANKLINES",
    "NULL", "QUOTE", "READRATIO", "REMOVEQUOTES", "IGNOREHEADER",
}  # fmt: skip
_NOT_EMULATED = {
    "AVRO", "PARQUET", "ORC", "SHAPEFILE", "BZIP2", "LZOP", "ZSTD", "SSH", "ENCRYPTED",
    "MASTER_SYMMETRIC_KEY", "COMPROWS", "EXPLICIT_IDS", "ACCEPTANYDATE", "ENCODING",
    "TRIMBLANKS", "CREDENTIALS", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN",
}  # fmt: skip


@dataclass
class Copy:
    """A COPY statement as read."""

    schema: str = ""
    table: str = ""
    columns: list[str] | None = None
    source: str = ""
    iam_role: str = ""
    json: str = ""
    region: str = ""
    manifest: bool = False
    gzip: bool = False
    maxerror: int = 0
    ignore_all_errors: bool = False
    truncate_columns: bool = False
    accept_invalid: str | None = None
    blanks_as_null: bool = False
    empty_as_null: bool = False
    round_decimals: bool = False
    no_load: bool = False
    time_format: str = ""
    date_format: str = ""
    statistics: str = ""
    compression: str = ""


class _Cursor:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at].upper if self.at < len(self.tokens) else ""

    def take(self, *words: str) -> bool:
        if self.peek() in words:
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise syntax_error(self.near())

    def near(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def string(self) -> str:
        self.take("AS")
        if self.at >= len(self.tokens) or self.tokens[self.at].kind != "string":
            raise syntax_error(self.near())
        self.at += 1
        return self.tokens[self.at - 1].value

    def optional_string(self) -> str | None:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        return self.string() if token and (token.kind == "string" or token.upper == "AS") else None

    def number(self) -> int:
        self.take("AS")
        if not self.near().isdigit():
            raise syntax_error(self.near())
        self.at += 1
        return int(self.tokens[self.at - 1].text)


_FLAGS = {
    "MANIFEST": "manifest",
    "GZIP": "gzip",
    "IGNOREALLERRORS": "ignore_all_errors",
    "TRUNCATECOLUMNS": "truncate_columns",
    "BLANKSASNULL": "blanks_as_null",
    "EMPTYASNULL": "empty_as_null",
    "ROUNDEC": "round_decimals",
    "NOLOAD": "no_load",
}
_STRINGS = {"REGION": "region", "TIMEFORMAT": "time_format", "DATEFORMAT": "date_format"}
_SWITCHES = {
    "COMPUPDATE": ("compression", ("ON", "OFF", "TRUE", "FALSE", "PRESET")),
    "STATUPDATE": ("statistics", ("ON", "OFF", "TRUE", "FALSE")),
}


def _iam_role(cursor: _Cursor) -> str:
    if cursor.take("DEFAULT"):
        return "default"
    role = cursor.string()
    if role != "default" and not all(_ROLE.fullmatch(part) for part in role.split(",")):
        raise ServerError("XX000", f"IAM Role={role} is not a valid IAM role ARN")
    return role


def _option(cursor: _Cursor, copy: Copy) -> None:
    word = cursor.peek()
    if word in _NOT_WITH_JSON:
        raise ServerError("42601", f"{word} is not supported for COPY with JSON")
    if word in _NOT_EMULATED:
        raise not_emulated(f"COPY with {word}")
    at = cursor.at
    cursor.at += 1
    if word in _FLAGS:
        setattr(copy, _FLAGS[word], True)
    elif word in _STRINGS:
        setattr(copy, _STRINGS[word], cursor.string())
    elif word in _SWITCHES:
        name, values = _SWITCHES[word]
        value = cursor.peek()
        setattr(copy, name, value if cursor.take(*values) else "ON")
    elif word == "IAM_ROLE":
        copy.iam_role = _iam_role(cursor)
    elif word == "FORMAT":
        cursor.take("AS")
        cursor.expect("JSON")
        copy.json = cursor.optional_string() or "auto"
    elif word == "JSON":
        copy.json = cursor.optional_string() or "auto"
    elif word == "MAXERROR":
        copy.maxerror = cursor.number()
    elif word == "ACCEPTINVCHARS":
        copy.accept_invalid = cursor.optional_string() or "?"
    else:
        cursor.at = at
        raise syntax_error(cursor.near())


def parse_copy(text: str) -> Copy:
    """Read a COPY of JSON from S3.

    Raises ServerError 42601 for what is no COPY, 0A000 for what the double does not load,
    XX000 for credentials and roles that are not of the documented form.
    """
    cursor = _Cursor(lexical.tokens(text))
    cursor.expect("COPY")
    copy = Copy()
    (copy.schema, copy.table), cursor.at = _dotted(cursor.tokens, cursor.at)
    if cursor.take("("):
        copy.columns = []
        while not cursor.take(")"):
            copy.columns.append(cursor.tokens[cursor.at].value)
            cursor.at += 1
            if not cursor.take(",") and cursor.peek() != ")":
                raise syntax_error(cursor.near())
    cursor.expect("FROM")
    copy.source = cursor.string()
    cursor.take("WITH")
    while cursor.at < len(cursor.tokens):
        _option(cursor, copy)
    _check(copy)
    return copy


def _check(copy: Copy) -> None:
    if not copy.source.startswith("s3://"):
        raise not_emulated("COPY from elsewhere than S3")
    if not copy.iam_role:
        raise ServerError("XX000", "COPY requires credentials: give IAM_ROLE")
    if not copy.json:
        raise not_emulated("COPY of other formats than JSON")
    if copy.ignore_all_errors and copy.maxerror:
        raise ServerError("42601", "IGNOREALLERRORS cannot be used with MAXERROR")
    if copy.maxerror > 100000:
        raise ServerError("22023", "MAXERROR must be between 0 and 100000")
    if copy.accept_invalid is not None and len(copy.accept_invalid) != 1:
        raise ServerError("22023", "ACCEPTINVCHARS must be a single character")
