"""Doubles and connections for the double's own tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redshift_connector

from sparkify_dagster_tests.redshift_double import Latency, RedshiftDouble

Connect = Callable[..., redshift_connector.Connection]
PASSWORD = "Correct-horse-battery-2"


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftDouble]:
    """A double without S3, with two more users who are no superusers."""
    with RedshiftDouble(latency=Latency()) as running:
        running.passwords.update(loader=PASSWORD, analyst=PASSWORD)
        monkeypatch.setenv("SSL_CERT_FILE", running.ca_file)
        yield running


@pytest.fixture
def login(plain: RedshiftDouble) -> Iterator[Connect]:
    """Opens sessions of the double without S3, as its owner or as another user."""
    opened: list[Any] = []

    def open_connection(user: str = "", *, autocommit: bool = False) -> Any:
        connection = redshift_connector.connect(
            host=plain.host,
            port=plain.port,
            user=user or plain.user,
            password=PASSWORD if user else plain.password,
            database=plain.database,
            sslmode="verify-full",
        )
        connection.autocommit = autocommit
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.close()
