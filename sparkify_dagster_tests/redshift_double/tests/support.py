"""What the double's own tests share."""

from collections.abc import Callable
from typing import Any

import pytest
from redshift_connector.error import InterfaceError, ProgrammingError


def refused(run: Callable[[], Any]) -> dict[str, str]:
    with pytest.raises((ProgrammingError, InterfaceError)) as caught:
        run()
    fields = caught.value.args[0]
    assert isinstance(fields, dict), fields
    return fields


def rows(connection: Any, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(sql, parameters or None)
    return [tuple(row) for row in cursor.fetchall()]


def run(connection: Any, *statements: str) -> Any:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    return cursor


def answer(connection: Any, sql: str) -> str:
    """Give the SQLSTATE a statement is refused with, or "" if it runs; leaves nothing behind."""
    try:
        run(connection, sql)
    except ProgrammingError as error:
        return str(error.args[0]["C"])
    finally:
        connection.rollback()
    return ""
