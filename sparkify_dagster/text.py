"""Text from files, shown to people: nothing in it can pose as something else."""

import re
from collections.abc import Iterable, Sequence

# What begins or ends a mark anywhere in a line, for markdown (with tables) or HTML. An address is
# one in GitHub's: it would take up the references behind it as they are written.
_MARK = re.compile(r"[\\`*~|\[\]<>&@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)


def printable(text: str) -> str:
    """Return a text on one line, each character that does not print as its escape.

    Line breaks, control characters, marks that turn the direction of writing, and halves of
    surrogate pairs, as which Python keeps what is no UTF-8 in a file's name.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def markdown(text: str) -> str:
    """Return what shows a text in markdown as it is: every mark as a character reference.

    A reference is never taken for a mark, wherever it stands (CommonMark 0.31, section 2.5); a
    backslash is, in tables.
    """
    return _MARK.sub(lambda match: f"&#{ord(match[0])};", printable(text))


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as a markdown table; None is an empty cell."""
    cells = [["" if value is None else markdown(str(value)) for value in row] for row in rows]
    lines = [map(markdown, columns), ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code_block(text: str, language: str) -> str:
    """Return text as a block of code in markdown, whatever fences are in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
