"""Text compared as Redshift does: trailing blanks do not count, but storage keeps them.

[D: Character types, Examples with character types, LIKE].
"""

from typing import Any

import pytest

from .conftest import Connect
from .support import answer, refused, rows, run


@pytest.fixture
def songs(login: Connect) -> Any:
    connection = login()
    run(
        connection,
        "CREATE TABLE song (n INT, title VARCHAR(20), genre CHAR(5), day DATE)",
        "INSERT INTO song VALUES (9, 'Foo', 'pop', '2018-11-01'), "
        "(10, 'Foo ', 'pop ', '2018-11-02'), (11, 'Bar', 'rock', '2018-11-03'), "
        "(12, NULL, NULL, NULL), (13, ' Foo', 'pop', NULL)",
        "CREATE TABLE other (title VARCHAR(20), m INT)",
        "INSERT INTO other VALUES ('Foo  ', 1), ('Baz', 2)",
    )
    connection.commit()
    return connection


COMPARED = [
    ("SELECT n FROM song WHERE title = 'Foo' ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE title = 'Foo   ' ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE title <> 'Foo' ORDER BY n", [11, 13]),
    ("SELECT n FROM song WHERE title > 'Foo' ORDER BY n", []),
    ("SELECT n FROM song WHERE title <= 'Foo' ORDER BY n", [9, 10, 11, 13]),
    ("SELECT n FROM song WHERE title IN ('Foo ', 'x') ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE title NOT IN ('Foo ', 'x') ORDER BY n", [11, 13]),
    ("SELECT n FROM song WHERE title IN (SELECT title FROM other) ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE (n, title) IN (SELECT 10, title FROM other)", [10]),
    ("SELECT n FROM song WHERE title BETWEEN 'Foo' AND 'Foo' ORDER BY n", [9, 10]),
    ("SELECT n FROM song s JOIN other o ON s.title = o.title ORDER BY n", [9, 10]),
    ("SELECT n FROM song s, other o WHERE s.title = o.title ORDER BY n", [9, 10]),
    ("SELECT n FROM song s LEFT JOIN other o ON o.title = s.title WHERE m IS NULL AND n < 12",
     [11]),
    ("SELECT n FROM song s WHERE EXISTS (SELECT 1 FROM other o WHERE o.title = s.title) "
     "ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE UPPER(title) || '' = 'FOO' ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE genre = 'pop' ORDER BY n", [9, 10, 13]),
    ("SELECT n FROM song WHERE COALESCE(title, 'Foo') = 'Foo' ORDER BY n", [9, 10, 12]),
    ("SELECT n FROM song WHERE CASE title WHEN 'Foo' THEN 1 ELSE 0 END = 1 ORDER BY n", [9, 10]),
    ("SELECT n FROM song WHERE NULLIF(title, 'Foo') IS NULL ORDER BY n", [9, 10, 12]),
    ("SELECT n FROM song WHERE day = '2018-11-01'", [9]),
    ("SELECT n FROM song WHERE title = %s ORDER BY n", [9, 10]),
    # Patterns, lengths and what is stored keep the blanks.
    ("SELECT n FROM song WHERE title LIKE 'Foo'", [9]),
    ("SELECT n FROM song WHERE title LIKE 'Foo_'", [10]),
    ("SELECT LEN(title) FROM song WHERE title = 'Foo' ORDER BY 1", [3, 4]),
    ("SELECT title FROM song WHERE n = 10", ["Foo "]),
    ("SELECT title || '|' FROM song WHERE n = 10", ["Foo |"]),
    # Rows that become one.
    ("SELECT COUNT(DISTINCT title) FROM song", [3]),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT title FROM song) q", [4]),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT * FROM (SELECT title, genre FROM song) r) q", [4]),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT 2, title FROM song) q", [4]),
    ("SELECT COUNT(*) FROM (SELECT DISTINCT n, title FROM song) q", [5]),
    ("SELECT COUNT(*) FROM (SELECT title FROM song UNION SELECT title FROM other) q", [5]),
    ("SELECT COUNT(*) FROM (SELECT title FROM song UNION ALL SELECT title FROM other) q", [7]),
    ("SELECT COUNT(*) FROM (SELECT title FROM song INTERSECT SELECT title FROM other) q", [1]),
    ("SELECT COUNT(*) FROM (SELECT title FROM song EXCEPT SELECT title FROM other) q", [3]),
    ("SELECT COUNT(*) FROM (SELECT 1 FROM song GROUP BY title) q", [4]),
    ("SELECT COUNT(*) FROM song GROUP BY title HAVING title = 'Foo'", [2]),
    ("SELECT COUNT(*) FROM song GROUP BY UPPER(title) HAVING UPPER(title) = 'FOO'", [2]),
    ("SELECT SUM(n) FROM song GROUP BY genre ORDER BY genre", [32, 11, 12]),
    ("SELECT COUNT(*) FROM song GROUP BY 1 + 1, title ORDER BY 1 DESC LIMIT 1", [2]),
    ("SELECT n FROM (SELECT n, ROW_NUMBER() OVER (PARTITION BY title ORDER BY n) AS r "
     "FROM song) q WHERE r = 2", [10]),
    ("SELECT n FROM (SELECT n, RANK() OVER (ORDER BY title) AS r FROM song) q WHERE r = 3 "
     "ORDER BY n", [9, 10]),
    ("SELECT n FROM song ORDER BY title, n DESC", [13, 11, 10, 9, 12]),
    ("SELECT n FROM (SELECT title AS t, n FROM song) q ORDER BY t DESC, n DESC",
     [12, 10, 9, 11, 13]),
    ("SELECT n FROM song ORDER BY n DESC", [13, 12, 11, 10, 9]),
    ("SELECT COUNT(*) AS c FROM song GROUP BY title ORDER BY c DESC, title", [2, 1, 1, 1]),
]  # fmt: skip


def first(connection: Any, sql: str) -> list[Any]:
    parameters = ["Foo  "] if "%s" in sql else []
    return [row[0] for row in rows(connection, sql, *parameters)]


def test_trailing_blanks_do_not_count(songs: Any) -> None:
    assert [(sql, first(songs, sql)) for sql, _ in COMPARED] == COMPARED


def test_a_group_shows_a_value_as_stored(songs: Any) -> None:
    sql = "SELECT title, COUNT(*) FROM song GROUP BY title ORDER BY title"
    assert rows(songs, sql) == [(" Foo", 1), ("Bar", 1), ("Foo ", 2), (None, 1)]
    sql = "SELECT DISTINCT RTRIM(title) AS title FROM song ORDER BY title"
    assert rows(songs, sql) == [(" Foo",), ("Bar",), ("Foo",), (None,)]
    sql = "SELECT title, m FROM other UNION SELECT title, 1 FROM song ORDER BY title, m"
    assert [len(row[0] or "") for row in rows(songs, sql)] in ([4, 3, 3, n, 0] for n in (3, 4, 5))


def test_changes_compare_the_same_way(songs: Any) -> None:
    assert run(songs, "UPDATE song SET title = 'New ' WHERE title = 'Foo'").rowcount == 2
    assert rows(songs, "SELECT title FROM song WHERE n = 9") == [("New ",)]
    run(songs, "INSERT INTO other SELECT title, n FROM song WHERE title = 'New'")
    deleted = run(songs, "DELETE FROM song USING other WHERE song.title = other.title")
    assert deleted.rowcount == 2
    songs.rollback()
    run(
        songs,
        "MERGE INTO song USING other ON song.title = other.title "
        "WHEN MATCHED THEN UPDATE SET n = other.m "
        "WHEN NOT MATCHED THEN INSERT (n, title) VALUES (other.m, other.title)",
    )
    assert first(songs, "SELECT n FROM song ORDER BY n") == [1, 1, 2, 11, 12, 13]


def test_what_cannot_be_compared_so_is_refused(songs: Any) -> None:
    for sql in (
        "SELECT 1 FROM song JOIN other USING (title)",
        "SELECT 1 FROM song WHERE title = ANY (SELECT title FROM other)",
    ):
        assert answer(songs, sql) == "0A000"
    words = refused(lambda: run(songs, "SELECT 1 FROM song JOIN other USING (title)"))["M"]
    assert "write ON" in words
