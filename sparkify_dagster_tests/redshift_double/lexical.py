"""A lexer for Redshift SQL: just enough to find statements, words and parameters."""

import functools
import re
from dataclasses import dataclass

from .errors import ServerError

_PATTERN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
    |(?P<comment>/\*)
    |(?P<string>'(?:[^'\\]|''|\\.)*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
    |(?P<parameter>\$\d+)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[#A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    |(?P<symbol>::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETER = "__parameter_"
# Characters; what is longer, an INSERT of rows for one, is not worth remembering.
LONG = 100_000


@dataclass(frozen=True)
class Token:
    """One lexical unit with its place in the text."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The text in capitals; quoted names and strings keep their quotes, so match no word."""
        return self.text.upper()

    @property
    def value(self) -> str:
        """The meaning: a string's content, or a name folded as Redshift folds it."""
        if self.kind == "string":
            inner = self.text[1:-1].replace("''", "'")
            return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"').lower()
        return self.text.lower()


def _comment_end(text: str, start: int) -> int:
    depth, position = 1, start + 2
    while depth:
        mark = re.compile(r"/\*|\*/").search(text, position)
        if mark is None:
            raise ServerError("42601", "unterminated /* comment")
        depth += 1 if mark.group() == "/*" else -1
        position = mark.end()
    return position


def tokens(text: str) -> list[Token]:
    """Split SQL text into tokens without blanks and comments.

    Raises ServerError 42601 on an unterminated string, name or comment.
    """
    return list(_known(text) if len(text) < LONG else _split(text))


def _split(text: str) -> tuple[Token, ...]:
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        kind = match.lastgroup if match else "symbol"
        end = match.end() if match else position + 1
        if kind == "comment":
            end = _comment_end(text, position)
        elif kind == "dollar":
            tag = text[position:end]
            close = text.find(tag, end)
            if close < 0:
                raise ServerError("42601", "unterminated dollar-quoted string")
            end = close + len(tag)
        piece = text[position:end]
        if piece in "'\"":
            raise ServerError("42601", f'unterminated quoted string at or near "{text[position:]}"')
        if kind not in ("space", "comment"):
            found.append(Token(str(kind), piece, position, end))
        position = end
    return tuple(found)


_known = functools.lru_cache(maxsize=2_000)(_split)


def without_database(found: list[Token], database: str) -> list[Token]:
    """Leave out the database of names in three parts: `dev.a.b` is `a.b`."""
    starts = {
        at
        for at in range(len(found) - 4)
        if found[at].value == database and found[at + 1].text == found[at + 3].text == "."
    }
    return [token for at, token in enumerate(found) if not {at, at - 1} & starts]


def statements(text: str) -> list[str]:
    """Split at the semicolons outside strings and comments; empty ones are left out."""
    parts: list[str] = []
    start = 0
    held = False
    for token in tokens(text):
        if token.text == ";":
            if held:
                parts.append(text[start : token.start])
            start, held = token.end, False
        else:
            held = True
    if held:
        parts.append(text[start:])
    return parts


def replace(text: str, changes: list[tuple[Token, str]]) -> str:
    """Put new text in the place of tokens."""
    for token, new in sorted(changes, key=lambda change: -change[0].start):
        text = text[: token.start] + new + text[token.end :]
    return text


def prepare_for_parser(text: str) -> str:
    """Rewrite the three notations that sqlglot misreads, before it sees the text.

    `$1` would open a dollar quote, `#t` is a temporary table, and FLOAT is eight
    bytes wide in Redshift but four in sqlglot's reading.
    """
    changes: list[tuple[Token, str]] = []
    found = tokens(text)
    for index, token in enumerate(found):
        if token.kind == "parameter":
            changes.append((token, _PARAMETER + token.text[1:]))
        elif token.kind == "word" and token.text.startswith("#"):
            changes.append((token, f'"{token.value}"'))
        elif token.upper == "FLOAT" and (index == 0 or found[index - 1].text != "."):
            changes.append((token, "DOUBLE PRECISION"))
    return replace(text, changes)


def parameter_number(name: str) -> int | None:
    """Read the number of a parameter out of the name that stands for it."""
    match = re.fullmatch(rf"{_PARAMETER}(\d+)", name)
    return int(match[1]) if match else None


def parameter_count(text: str) -> int:
    """Tell how many parameters ($1 to $n) a statement has."""
    return max((int(t.text[1:]) for t in tokens(text) if t.kind == "parameter"), default=0)
