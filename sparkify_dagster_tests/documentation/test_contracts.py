"""A change that readers of analytics have to follow fails until it is declared."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sparkify_dagster.cli import main
from sparkify_dagster.documentation.contracts import (
    ContractError,
    agree_contracts,
    describe_changes,
    read_contracts,
)
from sparkify_dagster.tables import TABLES
from sparkify_dagster_tests.support.own_sql import edit

YEAR = "    year INTEGER,                  -- of release; NULL where unknown\n"
TITLE = "    title VARCHAR(256),            -- title\n"
LAST = "artist_name VARCHAR(256)       -- as"


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (YEAR, "", "`year` has gone"),
        (YEAR, YEAR.replace("INTEGER", "BIGINT"), "`year` was INTEGER, is BIGINT"),
        (YEAR, YEAR.replace(",  ", " NOT NULL,"), "`year` was INTEGER, is INTEGER NOT NULL"),
        (
            TITLE,
            TITLE + "    subtitle VARCHAR(256),         -- more\n",
            "`subtitle` is new; a column",
        ),
        (YEAR, TITLE.replace("title", "label"), "`year` has gone; `label` is new"),
    ],
)
def test_what_breaks_the_contract_has_to_be_declared(
    own_sql: Path, old: str, new: str, change: str
) -> None:
    edit(own_sql / "star" / "songs.sql", old, new)
    result = CliRunner().invoke(main, ["docs", "--check"])
    assert result.exit_code == 1
    assert f"analytics.songs: what people rely on has changed ({change}" in result.output
    assert "contract: [2, " in result.output
    declared = replace(TABLES["songs"], contract=(2, dt.date(2018, 12, 1)))
    versions = agree_contracts([declared], {"songs": read_contracts()["songs"]}, {})["songs"]
    assert next(describe_changes(versions)).startswith(f"version 2, 2018-12-01: {change}")
    assert agree_contracts([declared], {"songs": versions}, {})["songs"] == versions


def test_a_new_order_and_another_key_have_to_be_declared(own_sql: Path) -> None:
    kept = {"songs": read_contracts()["songs"]}
    edit(own_sql / "star" / "songs.sql", YEAR, "")
    edit(own_sql / "star" / "songs.sql", TITLE, YEAR + TITLE)
    with pytest.raises(ContractError, match="the order is song_id, year, title"):
        agree_contracts([TABLES["songs"]], kept, {})
    edit(own_sql / "star" / "songs.sql", YEAR + TITLE, TITLE + YEAR)


def test_another_key_has_to_be_declared() -> None:
    kept = {"songs": read_contracts()["songs"]}
    with pytest.raises(ContractError, match="the key was song_id, is title"):
        agree_contracts([replace(TABLES["songs"], key=("title",))], kept, {})


@pytest.mark.parametrize("contract", [(3, "2018-12-01"), (2, "soon"), (2, "")])
def test_a_declaration_has_the_next_version_and_a_day(contract: tuple[int, str]) -> None:
    changed = replace(TABLES["songs"], key=("title",), contract=contract)
    with pytest.raises(ContractError, match=r"contract: \[2, "):
        agree_contracts([changed], {"songs": read_contracts()["songs"]}, {})


def test_a_column_more_at_the_end_needs_no_declaration(own_sql: Path) -> None:
    kept = {"songs": read_contracts()["songs"]}
    edit(
        own_sql / "star" / "songs.sql",
        LAST,
        f"{LAST.replace(')', '),', 1)} now\n    genre VARCHAR(16) -- as",
    )
    (version,) = agree_contracts([TABLES["songs"]], kept, {})["songs"]
    assert version["columns"][-1] == "genre VARCHAR(16)"


def test_a_table_that_goes_has_to_be_declared() -> None:
    kept = {"former": json.loads(json.dumps(read_contracts()["songs"]))}
    with pytest.raises(ContractError, match=r"analytics\.former: has gone.*DROPPED"):
        agree_contracts([], kept, {})
    agreed = agree_contracts([], kept, {"former": "2018-12-01"})
    assert list(describe_changes(agreed["former"])) == ["version 2, 2018-12-01: the table has gone"]
    assert agree_contracts([], agreed, {"former": "2018-12-01"}) == agreed
