"""DuckDB and PostgreSQL, Redshift's ancestor, make the same tables of the same files with sql/."""

import datetime as dt
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster.loading.refresh import refresh
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Session
from sparkify_dagster.warehouse.duckdb.engine import DuckDBWarehouse
from sparkify_dagster_tests.support.loads import load_events, load_songs
from sparkify_dagster_tests.support.postgres import DATEDIFF, PostgresSession, postgres_server
from sparkify_dagster_tests.support.redshift_stage import BUILT, compared, numbers

Transact = Callable[[Callable[[Session], Any]], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as place:
        yield place


@pytest.fixture
def engines(server: str, tmp_path: Path) -> Iterator[list[Transact]]:
    with fresh_engines(server, tmp_path) as opened:
        yield opened


@contextmanager
def fresh_engines(server: str, folder: Path) -> Iterator[list[Transact]]:
    """Yield how to run a transaction on an empty DuckDB and on an empty PostgreSQL."""
    duckdb = DuckDBWarehouse(folder / "warehouse.duckdb", lock_timeout=0)
    with psycopg.connect(server) as connection, duckdb.kept_open():
        for schema in ("analytics", "staging"):
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute("SET search_path TO analytics, staging")
        connection.execute(DATEDIFF)
        connection.commit()

        def on_duckdb(body: Callable[[Session], Any]) -> Any:
            return duckdb.transaction(body, "test", "run")

        def on_postgres(body: Callable[[Session], Any]) -> Any:
            connection.execute("DISCARD TEMP")
            with connection.transaction():
                return body(PostgresSession(connection))

        yield [on_duckdb, on_postgres]


def load(transact: Transact, lake: LocalLake, days: list[dt.date] | None = None) -> list[Any]:
    """Bring all tables up to date; return what each load said of itself."""
    said = [
        transact(lambda session: load_events(session, lake, days, False, 0, "run")),
        transact(lambda session: load_songs(session, lake, False, 0, "run")),
    ]
    for name in BUILT:
        said.append(
            transact(lambda session, name=name: refresh(session, TABLES[name], False, "run"))
        )
    return said


def content(transact: Transact) -> dict[str, list[Any]]:
    """Return the rows of every table and the numbers of every check."""

    def read(session: Session) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for name in compared():
            found[name] = sorted(session.run(f"SELECT * FROM {name}"), key=repr)
        # PostgreSQL sums whole numbers to decimals.
        found |= {
            name: [{key: plain(value) for key, value in row.items()} for row in rows]
            if isinstance(rows, list)
            else rows
            for name, rows in numbers(session).items()
        }
        return found

    return transact(read)


def plain(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value == int(value) else value


def compare(engines: list[Transact], lake: LocalLake, days: list[dt.date] | None = None) -> dict:
    said = [load(transact, lake, days) for transact in engines]
    found = [content(transact) for transact in engines]
    assert said[0] == said[1]
    for name in found[0]:
        assert found[0][name] == found[1][name], name
    return found[0]


def test_same_tables_from_the_sample_lake(engines: list[Transact], sample_lake: Path) -> None:
    found = compare(engines, LocalLake(str(sample_lake)))
    assert len(found["analytics.songplays"]) > 100
    assert any(row[4] for row in found["analytics.songplays"])


@pytest.mark.real_data
def test_same_tables_from_the_real_data(engines: list[Transact], real_lake: Path) -> None:
    found = compare(engines, LocalLake(str(real_lake)))
    expected = {"songs": 14896, "artists": 9553, "users": 97, "songplays": 6820, "time": 6813}
    assert {name: len(found[f"analytics.{name}"]) for name in expected} == expected


# --- random small lakes, in few values so that keys meet

DAYS = [dt.date(2018, 11, day) for day in (1, 2, 3)]
texts = st.sampled_from(["a", "a ", "b", "", " ", "Björk's \\ “x”", "A"])
maybe = st.one_of(st.none(), texts)
lengths = st.sampled_from([None, 1.5, 218.93179, 2594.87302, 0.1])

EVENT: dict[str, st.SearchStrategy[Any]] = {
    "artist": maybe,
    "auth": st.sampled_from(["Logged In", "Logged Out"]),
    "firstName": maybe,
    "gender": st.sampled_from([None, "F", "M", "X"]),
    "itemInSession": st.integers(0, 2),
    "lastName": maybe,
    "length": lengths,
    "level": st.sampled_from([None, "free", "paid", "other"]),
    "location": maybe,
    "method": st.sampled_from(["GET", "PUT"]),
    "page": st.sampled_from(["NextSong", "NextSong", "Home"]),
    "registration": st.sampled_from([None, 1540919166796.0, 1.0e12]),
    "sessionId": st.integers(1, 3),
    "song": maybe,
    "status": st.sampled_from([200, 404, None]),
    "ts": st.builds(
        lambda day, ms: 1541030400000 + day * 86_400_000 + ms,
        st.integers(0, 3),
        st.sampled_from([0, 1, 999, 1000, 86_399_999, 43_200_796]),
    ),
    "userAgent": maybe,
    "userId": st.sampled_from(["", "1", "2", "10", None]),
}
events = st.fixed_dictionaries(EVENT)
songs = st.fixed_dictionaries(
    {
        "artist_id": st.sampled_from(["AR1", "AR2", None]),
        "artist_latitude": st.sampled_from([None, 1.25, -33.0]),
        "artist_longitude": st.sampled_from([None, 7.5]),
        "artist_location": st.one_of(maybe, st.just(27)),
        "artist_name": maybe,
        "duration": lengths,
        "num_songs": st.just(1),
        "song_id": st.sampled_from(["SO1", "SO2", "SO3", "SO4"]),
        "title": maybe,
        "year": st.sampled_from([0, 1999, None]),
    }
)
lakes = st.fixed_dictionaries(
    {
        "days": st.dictionaries(
            st.sampled_from(DAYS), st.lists(events, max_size=6), min_size=1, max_size=3
        ),
        "songs": st.dictionaries(st.sampled_from("ABC"), songs, min_size=1),
    }
)


def write(folder: Path, lake: dict[str, Any]) -> None:
    """Make a folder hold exactly these files."""
    wanted = {
        folder / f"log_data/2018/11/{day}-events.json": "\n".join(map(json.dumps, found))
        for day, found in lake["days"].items()
    }
    wanted |= {
        folder / f"song_data/A/B/{name}/TR{name}.json": json.dumps(song)
        for name, song in lake["songs"].items()
    }
    # Values go by position: the keys of an event here stand in the order of the columns.
    wanted[folder / "log_json_path.json"] = json.dumps(
        {"jsonpaths": [f"$['{key}']" for key in EVENT]}
    )
    for path in folder.rglob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=st.lists(lakes, min_size=1, max_size=3))
def test_same_tables_from_random_lakes_that_change(server: str, steps: list[dict]) -> None:
    with tempfile.TemporaryDirectory() as name, fresh_engines(server, Path(name)) as engines:
        folder = Path(name) / "lake"
        for step in steps:
            write(folder, step)
            found = compare(engines, LocalLake(str(folder)))
            lines = sum(len(events) for events in step["days"].values())
            assert len(found["staging.staging_events"]) == lines
            assert len(found["staging.staging_songs"]) == len(step["songs"])
