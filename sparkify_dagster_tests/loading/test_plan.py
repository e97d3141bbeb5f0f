"""Which files a load reads and takes out, decided without a lake or a warehouse."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

import pytest

from sparkify_dagster.lake.base import LakeError, SourceFile
from sparkify_dagster.loading.plan import KnownFile, Plan, plan_files

DAYS = [dt.date(2018, 11, day) for day in (1, 2, 3)]


def file(day: int, version: str = "1", content: str | None = None) -> SourceFile:
    name = f"log_data/2018/11/2018-11-0{day}-events.json"
    return SourceFile(name, 10, version, day=DAYS[day - 1], content_hash=content)


def known(*files: SourceFile) -> dict[str, KnownFile]:
    return {f.name: KnownFile(f.size, f.version, f.content_hash, f.day) for f in files}


def plan(
    listed: Iterable[SourceFile],
    loaded: dict[str, KnownFile],
    days: list[dt.date] | None = None,
    read_again: bool = False,
    is_outdated: bool = False,
) -> Plan:
    # The content of a file is told by its version here, but for one that was only touched.
    return plan_files(
        list(listed),
        loaded,
        days,
        read_again,
        is_outdated,
        lambda found: replace(found, content_hash=found.content_hash or found.version),
    )


def read(found: Plan) -> list[int]:
    return [one.day.day for one in found.read if one.day]


def test_new_and_changed_days_are_read_and_known_ones_are_not() -> None:
    found = plan([file(1), file(2, "2"), file(3)], known(file(1), file(2)))
    assert read(found) == [2, 3]
    assert list(found.replaced) == [file(2).name]
    assert found.gone == []


def test_a_touched_file_is_noted_and_not_read() -> None:
    found = plan([file(1, "2", "same")], known(file(1, "1", "same")))
    assert found == Plan(touched=[file(1, "2", "same")])


def test_a_gone_file_loses_its_rows_unless_its_day_is_asked_for() -> None:
    found = plan([file(1)], known(file(1), file(2)))
    assert (found.read, list(found.replaced), found.gone) == ([], [file(2).name], [file(2).name])
    with pytest.raises(LakeError, match=r"2018-11-02-events\.json: was loaded before and has gone"):
        plan([file(1)], known(file(1), file(2)), days=[DAYS[1]])


def test_only_the_days_asked_for_are_looked_at() -> None:
    assert read(plan([file(1), file(2), file(3)], {}, days=DAYS[1:2])) == [2]
    assert plan([file(1)], {}, days=DAYS[1:2]) == Plan()


def test_rows_of_other_sql_are_read_again_and_no_further_day() -> None:
    listed = [file(1), file(2), file(3)]
    found = plan(listed, known(file(1)), days=DAYS[1:2], read_again=True, is_outdated=True)
    assert read(found) == [1, 2]


def test_both_files_of_a_day_are_read_where_one_changed() -> None:
    packed = replace(file(1), name=f"{file(1).name}.gz")
    found = plan([file(1, "2"), packed], known(file(1), packed))
    assert [one.name for one in found.read] == [file(1).name, packed.name]
    assert set(found.replaced) == {file(1).name, packed.name}


def test_songs_are_told_by_their_files() -> None:
    one, two, three = (SourceFile(f"song_data/A/TR{name}.json", 5, "1") for name in "123")
    found = plan_files([one, replace(two, version="2")], known(one, two, three))
    assert [file.name for file in found.read] == [two.name]
    assert set(found.replaced) == {two.name, three.name}
    assert found.gone == [three.name]
