"""How fast song files are read from S3: by the platform, and by nothing but parallel GETs.

    python -m benchmarks.s3 ours|THREADS

Reads all song files of SPARKIFY_LAKE and prints the seconds, without those of connecting and
listing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Command, Sample, interleave, run
from benchmarks.subjects import OURS, REPOSITORY, WORK, base_environment

THREADS = (4, 16, 64)


def measure_s3(runs: int, lake: Path) -> dict[str, list[Sample]]:
    """Return the seconds of the platform and of plain GETs in so many threads, in turn."""
    words = (sys.executable, "-m", "benchmarks.s3_endpoint", str(lake))
    environment = {**base_environment(), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as endpoint:
        try:
            assert endpoint.stdout is not None
            port = int(endpoint.stdout.readline())
            environment |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "none",
                "AWS_SECRET_ACCESS_KEY": "none",
                "AWS_REGION": "us-east-1",
                "SPARKIFY_LAKE": "s3://lake",
            }
            ways = {OURS: "ours", **{f"GETs in {n} threads": str(n) for n in THREADS}}
            commands = {
                name: Command(
                    (sys.executable, "-m", "benchmarks.s3", way),
                    environment,
                    REPOSITORY,
                    WORK / "logs" / "s3.log",
                )
                for name, way in ways.items()
            }
            for command in commands.values():
                _timed(command)
            return interleave(runs, {n: lambda c=c: _timed(c) for n, c in commands.items()})
        finally:
            endpoint.kill()


def _timed(command: Command) -> Sample:
    whole = run(command)
    return Sample(float(command.log.read_text().split()[-1]), whole.cpu, whole.memory)


def _read_ours(location: str) -> float:
    from sparkify_dagster.lake.combine import combine
    from sparkify_dagster.lake.s3 import S3Lake

    lake = S3Lake(location)
    files = lake.list_songs()
    lake.read_jsonpaths()  # makes the connection, which the others have made as well
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        combine(lake, files, Path(folder))
        return time.perf_counter() - started


def _read_plain(location: str, threads: int) -> float:
    import obstore
    from obstore.store import S3Store

    from sparkify_dagster.lake.s3 import S3Lake

    names = [file.name for file in S3Lake(location).list_songs()]
    store = S3Store.from_url(
        location, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True}
    )

    def get(some: Sequence[str]) -> list[bytes]:
        return [obstore.get(store, name).bytes().to_bytes() for name in some]

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(get, [names[at::threads] for at in range(threads)]):
            pass
    return time.perf_counter() - started


if __name__ == "__main__":
    lake, way = os.environ["SPARKIFY_LAKE"], sys.argv[1]
    print(_read_ours(lake) if way == "ours" else _read_plain(lake, int(way)))
