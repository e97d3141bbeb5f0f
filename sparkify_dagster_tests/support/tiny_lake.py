"""Lakes of a few rows, written by hand: what tests change between two runs."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EVENT: dict[str, Any] = {
    "artist": "N1",
    "auth": "Logged In",
    "firstName": "Ada",
    "gender": "F",
    "itemInSession": 0,
    "lastName": "Lima",
    "length": 100.5,
    "level": "free",
    "location": "Oslo",
    "method": "PUT",
    "page": "NextSong",
    "registration": 1540919166796.0,
    "sessionId": 1,
    "song": "T1",
    "status": 200,
    "ts": 1541105830796,
    "userAgent": '"Mozilla/5.0"',
    "userId": "8",
}
JSONPATHS = list(EVENT)
SONG: dict[str, Any] = {
    "artist_id": "A1",
    "artist_latitude": None,
    "artist_longitude": None,
    "artist_location": "",
    "artist_name": "N1",
    "duration": 100.5,
    "num_songs": 1,
    "song_id": "S1",
    "title": "T1",
    "year": 0,
}


def event(**fields: Any) -> dict[str, Any]:
    """Return an event with some fields of its own."""
    return EVENT | fields


def song(**fields: Any) -> dict[str, Any]:
    """Return a song with some fields of its own."""
    return SONG | fields


def event_file(day: str, compressed: bool = False) -> str:
    """Return the name of a day's event file."""
    year, month, _ = day.split("-")
    return f"log_data/{year}/{month}/{day}-events.json" + ".gz" * compressed


def json_lines(objects: Sequence[Mapping[str, Any]]) -> bytes:
    """Return objects as the lines of a file, without a final newline as in the real data."""
    return "\n".join(json.dumps(item) for item in objects).encode()


class TinyLake:
    """A lake in a folder, and the bytes that lie in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        (folder / "log_data").mkdir(parents=True)
        (folder / "song_data").mkdir()
        self.write_jsonpaths([f"$['{key}']" for key in JSONPATHS])

    def write_jsonpaths(self, paths: Sequence[str]) -> None:
        """Write log_json_path.json."""
        (self.folder / "log_json_path.json").write_text(json.dumps({"jsonpaths": list(paths)}))

    def write(self, name: str, content: bytes) -> Path:
        """Write a file; compressed where its name says so."""
        return self.write_raw(name, gzip.compress(content) if name.endswith(".gz") else content)

    def write_raw(self, name: str, stored: bytes) -> Path:
        """Write a file's bytes as they are."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored)
        self.files[name] = stored
        return path

    def write_events(self, day: str, events: Sequence[Mapping[str, Any]]) -> Path:
        """Write a day's event file."""
        return self.write(event_file(day), json_lines(events))

    def write_songs(self, name: str, songs: Sequence[Mapping[str, Any]]) -> Path:
        """Write a song file, `name` as in "A/A/A/TR1"."""
        return self.write(f"song_data/{name}.json", json_lines(songs))

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink()
        del self.files[name]
