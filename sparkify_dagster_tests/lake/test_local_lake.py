"""Files of a local lake: what is known of one before it is loaded."""

import gzip
import io
from pathlib import Path

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkify_dagster.lake import objects
from sparkify_dagster.lake.local import LocalLake
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event_file

# An object a line, and what may come besides: blank lines, blanks, objects that span lines.
PIECES = st.sampled_from(
    [
        '{"a":1}\n',
        '{"b":"{\\\\n"}\n',
        "\n",
        "\r\n",
        " \n",
        '{\n"a":\n2}\n',
        '{"c":[{}]}\r\n',
        "{}\n",
    ]
)


@pytest.mark.parametrize("compressed", [False, True])
@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(pieces=st.lists(PIECES, max_size=8), chunk=st.integers(1, 12), is_open=st.booleans())
def test_fingerprint_counts_the_lines(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    compressed: bool,
    pieces: list[str],
    chunk: int,
    is_open: bool,
) -> None:
    """However the file is cut into chunks, with or without a line break at its end."""
    monkeypatch.setattr(objects, "_CHUNK", chunk)
    source = TinyLake(tmp_path_factory.mktemp("lake"))
    content = "".join(pieces).encode()
    content = content.removesuffix(b"\n") if is_open else content
    name = event_file("2018-11-01", compressed)
    stored = gzip.compress(content) if compressed else content
    source.write_raw(name, stored)
    [file] = LocalLake(str(source.folder)).list_events()
    found = LocalLake(str(source.folder)).fingerprint(file)
    assert found.line_count == len(io.BytesIO(content).readlines())
    assert found.content_hash == xxhash.xxh3_128_hexdigest(stored)
    assert Path(source.folder, file.name).stat().st_size == found.size
