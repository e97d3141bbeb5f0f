"""Lineage and generated documentation: right, complete, current."""

import re
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from sparkify_dagster.cli import main
from sparkify_dagster.documentation.files import outdated, render_files
from sparkify_dagster.documentation.lineage import FILE_PATH, derive_lineage
from sparkify_dagster.lake.jsonpaths import EVENT_KEYS, parse_jsonpaths, path_steps
from sparkify_dagster.lineage import Lineage, read_lineage
from sparkify_dagster.tables import TABLES


@pytest.fixture(scope="module")
def lineage() -> Lineage:
    return derive_lineage()


def test_lineage_of_songplays(lineage: Lineage) -> None:
    assert lineage["songplays"] == {
        "songplay_id": ["staging_events.item_in_session", "staging_events.session_id"],
        "start_time": ["staging_events.ts"],
        "user_id": ["staging_events.user_id"],
        "level": ["staging_events.level"],
        "song_id": ["songs.song_id"],
        "artist_id": ["songs.artist_id"],
        "session_id": ["staging_events.session_id"],
        "location": ["staging_events.location"],
        "user_agent": ["staging_events.user_agent"],
        "item_in_session": ["staging_events.item_in_session"],
        "title": ["staging_events.song"],
        "artist_name": ["staging_events.artist"],
        "length": ["staging_events.length"],
        "file_day": ["staging_events.file_day"],
    }


@pytest.mark.parametrize(
    ("column", "sources"),
    [
        # By position through the JSONPaths, by name with 'auto', and from the name of the file.
        ("staging_events.user_id", ["log_data.userId"]),
        ("staging_events.item_in_session", ["log_data.itemInSession"]),
        ("staging_events.file_day", [f"log_data.{FILE_PATH}"]),
        ("staging_songs.artist_latitude", ["song_data.artist_latitude"]),
        ("staging_songs.source_file", [f"song_data.{FILE_PATH}"]),
        # Through a view, a temporary table and a summary.
        ("users.level", ["staging_events.level"]),
        ("artists.location", ["staging_songs.artist_location"]),
        ("time.week", ["songplays.start_time"]),
        ("listener_demographics.gender", ["users.gender"]),
        # A count of rows comes from their key, a sum of cases from what decides them.
        ("top_songs.plays", ["songplays.songplay_id"]),
        ("top_songs.paid_plays", ["songplays.level"]),
        ("top_artists.songs", ["top_songs.artist_name", "top_songs.title"]),
        ("daily_engagement.paid_users", ["songplays.level", "songplays.user_id"]),
    ],
)
def test_lineage_checked_by_hand(lineage: Lineage, column: str, sources: list[str]) -> None:
    table, name = column.split(".")
    assert lineage[table][name] == sources


def test_every_column_comes_from_columns_upstream(lineage: Lineage) -> None:
    songs = [column.name for column in TABLES["staging_songs"].columns]
    known = {f"log_data.{key}" for key in (*EVENT_KEYS, FILE_PATH)}
    known |= {f"song_data.{key}" for key in (*songs, FILE_PATH)}
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert list(lineage[table.name]) == names
        for name in names:
            sources = lineage[table.name][name]
            assert sources, f"{table.name}.{name}"
            assert set(sources) <= known, f"{table.name}.{name}"
            assert {source.split(".")[0] for source in sources} <= set(table.depends_on)
        known |= {f"{table.name}.{name}" for name in names}


def test_lineage_is_told_to_dagster_and_to_people(
    sample_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_LAKE", str(sample_lake))
    from sparkify_dagster.definitions import defs

    graph = defs.resolve_asset_graph()
    for table in TABLES.values():
        metadata = graph.get(dg.AssetKey(table.name)).metadata
        told = {
            column: sorted(f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps)
            for column, deps in metadata["dagster/column_lineage"].deps_by_column.items()
        }
        assert told == read_lineage()[table.name]
        assert str(metadata["lineage"].value).count("\n") == 1 + len(table.columns)


@pytest.mark.real_data
def test_jsonpaths_of_the_real_lake_are_those_the_lineage_knows(real_lake: Path) -> None:
    path = real_lake / "log_json_path.json"
    steps = [path_steps("", found) for found in parse_jsonpaths("", path.read_bytes())]
    assert [step for (step,) in steps] == list(EVENT_KEYS)


# --- the generated files


def test_generated_files_are_current() -> None:
    result = CliRunner().invoke(main, ["docs", "--check"])
    assert result.exit_code == 0, result.stderr


def test_a_stale_file_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = render_files()
    assert outdated(files) == []
    written = {tmp_path / path.name: text for path, text in files.items()}
    assert outdated(written) == list(written)
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    stale = tmp_path / "erd.md"
    stale.write_text(stale.read_text() + " ")
    assert outdated(written) == [stale]
    from sparkify_dagster.documentation import files as module

    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "render_files", lambda: written)
    (tmp_path / "pyproject.toml").touch()
    result = CliRunner().invoke(main, ["docs", "--check"])
    assert result.exit_code == 1
    assert result.stderr == "erd.md: not current, run `sparkify docs`\n"
    assert CliRunner().invoke(main, ["docs"]).output == "Wrote erd.md\n"
    assert CliRunner().invoke(main, ["docs", "--check"]).exit_code == 0


def test_dictionary_tells_every_column_key_and_check() -> None:
    text = next(text for path, text in render_files().items() if path.stem == "data_dictionary")
    sections = re.split(r"^### ", text, flags=re.MULTILINE)
    for table in TABLES.values():
        section = next(found for found in sections if found.startswith(f"{table.qualified_name}\n"))
        assert table.summary in section
        for column in table.columns:
            line = next(row for row in section.splitlines() if row.startswith(f"| `{column.name}`"))
            assert column.type in line
            assert column.description in line
        for check in table.checks:
            assert f"| {check.name} |" in section
        for key in table.key:
            assert f"`{key}`" in section.split("| column")[0]
    # A character that ends a cell would shift all that follow.
    for line in text.splitlines():
        if line.startswith("| `"):
            assert line.count("|") in (3, 5, 6), line


def test_diagram_joins_columns_to_whole_keys() -> None:
    text = next(text for path, text in render_files().items() if path.stem == "erd")
    for table in TABLES.values():
        columns = {column.name: column.type for column in table.columns}
        for column, other in table.joins.items():
            (key,) = TABLES[other].key
            types = {found.name: found.type for found in TABLES[other].columns}
            assert columns[column] == types[key]
            assert re.search(rf"^    {table.name} \S+ {other} : {column}$", text, re.MULTILINE)
