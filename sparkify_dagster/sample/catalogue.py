"""The song files, and the tracks that listeners play: some in the catalogue, most not.

Oddities of the real data sit at fixed positions, low ones first, so that a catalogue of some
dozens of songs already has each of them.
"""

from collections import Counter
from random import Random
from typing import Any, NamedTuple

from sparkify_dagster.sample import draw
from sparkify_dagster.sample.words import WORDS, encode, garble, plural

# What stands in the form of an id for a letter and for a digit.
LETTERS = {"?": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "#": "0123456789ABCDEF"}

# The real song_data holds 22 files a folder and fills A/A/A, A/A/B ... in order.
SONGS_PER_FOLDER = 22
SHARE_OF_KNOWN_ARTISTS = 0.36
SHARE_WITHOUT_YEAR = 0.32
OUTSIDE_TRACKS_PER_SONG = 3
FEWEST_OUTSIDE_TRACKS = 300

# What a pattern's places are filled from, in the order of the draws.
PLACES = {
    "noun": WORDS["nouns"],
    "adjective": WORDS["adjectives"],
    "other": WORDS["nouns"],
    "verb": WORDS["verbs"],
    "adverb": WORDS["adverbs"],
    "accented": WORDS["accented"],
    "first_name": WORDS["women"] + WORDS["men"],
    "surname": WORDS["surnames"],
    "ensemble": WORDS["ensembles"],
}

# The keys of a song file, but `duration` is in units of 0.00001 seconds. An artist has those of
# its own: coordinates in degrees, both or none. Year 0 is unknown.
Song = dict[str, Any]


class Track(NamedTuple):
    """What a play says about its song; `matched` if title and artist are catalogued."""

    values: dict[str, Any]  # artist, song, length in seconds
    length_ms: int
    matched: bool


def make_songs(count: int, seed: int) -> dict[str, Song]:
    """Return the catalogue by file inside song_data, in order."""
    catalogue = _Catalogue(draw.generator(seed, "songs"))
    songs: dict[str, Song] = {}
    last: Song = {}
    for position in range(count):
        # A second recording: the same title and artist, another duration.
        again = last if position % 250 == 39 else None
        track_id, last = catalogue.song(position, again)
        songs[f"{track_id[2]}/{track_id[3]}/{track_id[4]}/{track_id}.json"] = last
    return dict(sorted(songs.items()))


def song_line(song: Song) -> str:
    """Return a song file's content: keys sorted, no final newline."""
    return encode(dict(sorted({**song, "duration": song["duration"] / 100_000}.items())))


def make_tracks(songs: list[Song], seed: int) -> tuple[list[Track], list[Track]]:
    """Return the catalogue's tracks and those outside it, each from most to least played."""
    rng = draw.generator(seed, "tracks")
    known = set(map(_key, songs))
    inside = [
        _track_of(song, rank, known, rng) for rank, song in enumerate(_by_popularity(songs, rng))
    ]
    count = max(FEWEST_OUTSIDE_TRACKS, OUTSIDE_TRACKS_PER_SONG * len(songs))
    strangers = [invent(rng, "artist_patterns") for _ in range(count // 3)]
    outside: list[Track] = []
    while len(outside) < count:
        artist = draw.one_of(rng, strangers)
        if rng.random() < 0.4:
            _, artist = _key(draw.one_of(rng, songs))
        title = invent(rng, "title_patterns")
        if rng.random() < 0.1:
            title, _ = _key(draw.one_of(rng, songs))
        if len(outside) % 150 == 50:
            title = str(draw.whole(rng, 2, 3000))
        if len(outside) % 150 == 75:
            title = title.replace("'", "\x19") if "'" in title else f"Don\x19t {title}"
        track = _track(title, artist, _duration(rng), known)
        if not track.matched:
            outside.append(track)
    return inside, outside


def invent(rng: Random, patterns: str) -> str:
    """Return a plausible name or title, by one of the patterns of that list."""
    pattern: str = draw.one_of(rng, WORDS[patterns])
    words = {place: draw.one_of(rng, found) for place, found in PLACES.items()}
    return pattern.format(nouns=plural(words["noun"]), **words)


class _Catalogue:
    """Invents songs one after the other, and remembers what must not occur twice."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._artists: list[Song] = []
        self._names: set[str | int] = set()
        self._keys: set[tuple[str, str]] = set()
        self._ids: set[str] = set()

    def song(self, position: int, again: Song | None) -> tuple[str, Song]:
        """Return a song with its track's id; another recording of the one given, if any."""
        rng = self._rng
        artist = self._artist_of(position) if again is None else again
        if again is None and position % 1000 == 29:
            artist = artist | {"artist_location": None}
        longer = again["duration"] + draw.whole(rng, 20_00000, 90_00000) if again else 0
        folder = position // SONGS_PER_FOLDER % 26**3
        names = "".join(LETTERS["?"][folder // size % 26] for size in (676, 26, 1))
        track_id = self._unused(f"TR{names}??128F#######")
        song = artist | {"song_id": self._unused("SO?????12#########"), "num_songs": 1}
        if again:
            return track_id, song | {"duration": _uneven(longer)}
        song["title"] = self._title(position, str(artist["artist_name"]))
        song["duration"] = _duration(rng)
        is_dated = rng.random() >= SHARE_WITHOUT_YEAR
        song["year"] = 2010 - int(55 * rng.random() * rng.random()) if is_dated else 0
        return track_id, song

    def _artist_of(self, position: int) -> Song:
        disagreement = {20: "name", 30: "location", 37: "coordinates"}.get(position % 40)
        if disagreement:
            return self._disagreeing(draw.one_of(self._rng, self._artists), disagreement)
        if self._artists and self._rng.random() < SHARE_OF_KNOWN_ARTISTS:
            return draw.one_of(self._rng, self._artists)
        self._artists.append(self._new_artist(len(self._artists)))
        return self._artists[-1]

    def _new_artist(self, number: int) -> Song:
        rng = self._rng
        artist: Song = {"artist_id": self._unused("AR?????1187#######")}
        name: str | int = self._name()
        if number % 160 == 7:
            name = draw.whole(rng, 100, 3000)
        elif number % 170 == 41:
            name = self._artists[number - 3]["artist_name"]
        self._names.add(name)
        place, *coordinates = draw.one_of(rng, WORDS["artist_places"])
        is_located = rng.random() >= 0.65
        known = rng.random() < 0.95 if is_located else rng.random() >= 0.69
        location = _odd_location(number, place if known else "", rng)
        artist |= {"artist_name": name, "artist_location": location}
        nowhere = {"artist_latitude": None, "artist_longitude": None}
        return artist | (_located(*coordinates) if is_located else nowhere)

    def _disagreeing(self, artist: Song, field: str) -> Song:
        """Return the artist as another song file describes it."""
        rng = self._rng
        if field == "name":
            guest = f"{draw.one_of(rng, WORDS['women'])} {draw.one_of(rng, WORDS['surnames'])}"
            return artist | {"artist_name": f"{artist['artist_name']} feat. {guest}"}
        if field == "location":
            places = [one for one in WORDS["broader_places"] if one != artist["artist_location"]]
            return artist | {"artist_location": draw.one_of(rng, places)}
        others = [_located(*coordinates) for _, *coordinates in WORDS["artist_places"]]
        latitude = artist["artist_latitude"]
        return artist | draw.one_of(rng, [o for o in others if o["artist_latitude"] != latitude])

    def _name(self) -> str:
        for _ in range(20):
            name = invent(self._rng, "artist_patterns")
            if name not in self._names:
                return name
        return f"{name} {len(self._names)}"

    def _title(self, position: int, artist: str) -> str | int | float:
        rng = self._rng
        for _ in range(20):
            title = _odd_title(position, invent(rng, "title_patterns"), rng)
            if (str(title), artist) not in self._keys:
                break
        else:
            title = f"{title} (Take {position})"
        self._keys.add((str(title), artist))
        return title

    def _unused(self, form: str) -> str:
        """Return a new id in the form of the real ones."""
        while True:
            drawn = (
                draw.one_of(self._rng, LETTERS[one]) if one in LETTERS else one for one in form
            )
            if (name := "".join(drawn)) not in self._ids:
                self._ids.add(name)
                return name


def _located(latitude: int, longitude: int) -> dict[str, float]:
    """Return the coordinates of an artist from units of 0.00001 degrees."""
    return {"artist_latitude": latitude / 100_000, "artist_longitude": longitude / 100_000}


def _odd_title(position: int, title: str, rng: Random) -> str | int | float:
    """Return the title, or at some positions one of the real data's oddities."""
    if position % 250 == 11:
        return draw.whole(rng, 2, 3000)
    if position % 1000 == 13:
        return draw.whole(rng, 1, 40) + 0.5
    if position % 220 == 17:
        return f"Can\x19t {title}"
    if position % 330 == 23:
        return f"{title} "
    if position % 500 == 26:
        return " - ".join([title] + [invent(rng, "title_patterns") for _ in range(5)])[:150].strip()
    return title


def _odd_location(number: int, location: str, rng: Random) -> str | int:
    """Return the location, or for some artists one of the real data's oddities."""
    if number % 300 == 9:
        return draw.whole(rng, 20, 800)
    for every, at, odd in WORDS["odd_locations"]:
        if number % every == at:
            return str(odd.format(location or "Leeds, England"))
    return location


def _duration(rng: Random) -> int:
    """Return a duration in units of 0.00001 seconds."""
    kind = rng.random()
    if kind < 0.02:
        seconds = 8 + 50 * rng.random()
    elif kind < 0.04:
        seconds = 500 + 1500 * rng.random() * rng.random()
    else:
        seconds = 90 + 110 * (rng.random() + rng.random() + rng.random())
    return _uneven(int(seconds * 100_000))


def _uneven(duration: int) -> int:
    """Return a duration that is never a whole number of seconds."""
    return duration + (duration % 100_000 == 0)


def _key(song: Song) -> tuple[str, str]:
    """Return title and artist name as text: what an event is matched on."""
    return str(song["title"]), str(song["artist_name"])


def _by_popularity(songs: list[Song], rng: Random) -> list[Song]:
    """Return the songs from most to least played."""
    order = draw.mixed(rng, songs)
    recordings = Counter(map(_key, songs))
    # The rarest cases are played often enough to occur in a small lake.
    rare: list[Song] = []
    plain: list[Song] = []
    for song in order:
        is_text = (song["title"], song["artist_name"]) == _key(song)
        (plain if is_text and recordings[_key(song)] == 1 else rare).append(song)
    ranked: list[Song] = []
    while rare or plain:
        take_rare = rare and (len(ranked) % 5 == 4 or not plain)
        ranked.append(rare.pop() if take_rare else plain.pop())
    return ranked


def _track_of(song: Song, rank: int, known: set[tuple[str, str]], rng: Random) -> Track:
    length = song["duration"]
    # Some plays know another length than the catalogue, as in the real data.
    if rank % 20 == 4:
        length += 4_13000
    elif rank % 20 == 10:
        length += draw.whole(rng, 13000, 160_00000)
    return _track(*_key(song), _uneven(length), known)


def _track(title: str, artist: str, length: int, known: set[tuple[str, str]]) -> Track:
    # Every character outside ASCII is garbled in the real events, so such songs match nothing.
    title, artist = garble(title), garble(artist)
    values = {"artist": artist, "song": title, "length": length / 100_000}
    return Track(values, length // 100, (title, artist) in known)
