"""The song files, and the tracks that listeners play: some in the catalogue, most not.

Oddities of the real data sit at fixed positions, low ones first, so that a catalogue of some
dozens of songs already has each of them.
"""

from collections import Counter
from dataclasses import dataclass, replace
from random import Random

from sparkify_dagster.sample import draw
from sparkify_dagster.sample.words import WORDS, encode, garble, plural

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEX = "0123456789ABCDEF"

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


@dataclass(frozen=True, slots=True)
class Artist:
    """The artist fields of one song file; coordinates in degrees, both or none."""

    artist_id: str
    name: str | int
    location: str | int | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class Song:
    """One song file. `duration` in units of 0.00001 seconds; year 0 is unknown."""

    track_id: str
    song_id: str
    title: str | int | float
    artist: Artist
    duration: int
    year: int

    @property
    def path(self) -> str:
        """The file's path inside song_data: the track id's third to fifth letters are folders."""
        return f"{self.track_id[2]}/{self.track_id[3]}/{self.track_id[4]}/{self.track_id}.json"

    @property
    def key(self) -> tuple[str, str]:
        """Title and artist name as text: what an event is matched on."""
        return str(self.title), str(self.artist.name)

    def as_line(self) -> str:
        """Return the file's content: keys sorted, no final newline."""
        return encode(
            {
                "artist_id": self.artist.artist_id,
                "artist_latitude": self.artist.latitude,
                "artist_location": self.artist.location,
                "artist_longitude": self.artist.longitude,
                "artist_name": self.artist.name,
                "duration": self.duration / 100_000,
                "num_songs": 1,
                "song_id": self.song_id,
                "title": self.title,
                "year": self.year,
            }
        )


@dataclass(frozen=True, slots=True)
class Track:
    """What a play says about its song; `matched` if title and artist are catalogued."""

    artist: str
    song: str
    length: float  # seconds
    length_ms: int
    matched: bool


def make_songs(count: int, seed: int) -> list[Song]:
    """Return the catalogue, in the order of its files' paths."""
    return _Catalogue(draw.generator(seed, "songs")).songs(count)


def make_tracks(songs: list[Song], seed: int) -> tuple[list[Track], list[Track]]:
    """Return the catalogue's tracks and those outside it, each from most to least played."""
    rng = draw.generator(seed, "tracks")
    known = {song.key for song in songs}
    inside = [
        _track_of(song, rank, known, rng) for rank, song in enumerate(_by_popularity(songs, rng))
    ]
    count = max(FEWEST_OUTSIDE_TRACKS, OUTSIDE_TRACKS_PER_SONG * len(songs))
    strangers = [invent(rng, "artist_patterns") for _ in range(count // 3)]
    outside: list[Track] = []
    while len(outside) < count:
        artist = draw.one_of(rng, strangers)
        if rng.random() < 0.4:
            artist = draw.one_of(rng, songs).key[1]
        title = invent(rng, "title_patterns")
        if rng.random() < 0.1:
            title = draw.one_of(rng, songs).key[0]
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
        self._artists: list[Artist] = []
        self._names: set[str | int] = set()
        self._keys: set[tuple[str, str]] = set()
        self._ids: set[str] = set()

    def songs(self, count: int) -> list[Song]:
        songs: list[Song] = []
        for position in range(count):
            # A second recording: the same title and artist, another duration.
            if position % 250 == 39:
                songs.append(self._second_recording(songs[-1], position))
            else:
                songs.append(self._song(position))
        return sorted(songs, key=lambda song: song.path)

    def _song(self, position: int) -> Song:
        artist = self._artist_of(position)
        if position % 1000 == 29:
            artist = replace(artist, location=None)
        return Song(
            track_id=self._track_id(position),
            song_id=self._unused("SO", LETTERS, "12", HEX, 9),
            title=self._title(position, str(artist.name)),
            artist=artist,
            duration=_duration(self._rng),
            year=_year(self._rng),
        )

    def _second_recording(self, song: Song, position: int) -> Song:
        longer = song.duration + draw.whole(self._rng, 20_00000, 90_00000)
        return replace(
            song,
            track_id=self._track_id(position),
            song_id=self._unused("SO", LETTERS, "12", HEX, 9),
            duration=longer + (longer % 100_000 == 0),
        )

    def _artist_of(self, position: int) -> Artist:
        disagreement = {20: "name", 30: "location", 37: "coordinates"}.get(position % 40)
        if disagreement:
            return self._disagreeing(draw.one_of(self._rng, self._artists), disagreement)
        if self._artists and self._rng.random() < SHARE_OF_KNOWN_ARTISTS:
            return draw.one_of(self._rng, self._artists)
        artist = self._new_artist(len(self._artists))
        self._artists.append(artist)
        return artist

    def _new_artist(self, number: int) -> Artist:
        rng = self._rng
        artist_id = self._unused("AR", LETTERS, "1187", HEX, 7)
        name: str | int = self._name()
        if number % 160 == 7:
            name = draw.whole(rng, 100, 3000)
        elif number % 170 == 41:
            name = self._artists[number - 3].name
        self._names.add(name)
        place, latitude, longitude = draw.one_of(rng, WORDS["artist_places"])
        is_located = rng.random() >= 0.65
        known = rng.random() < 0.95 if is_located else rng.random() >= 0.69
        location = _odd_location(number, place if known else "", rng)
        if not is_located:
            return Artist(artist_id, name, location, None, None)
        return Artist(artist_id, name, location, latitude / 100_000, longitude / 100_000)

    def _disagreeing(self, artist: Artist, field: str) -> Artist:
        """Return the artist as another song file describes it."""
        rng = self._rng
        if field == "name":
            guest = f"{draw.one_of(rng, WORDS['women'])} {draw.one_of(rng, WORDS['surnames'])}"
            return replace(artist, name=f"{artist.name} feat. {guest}")
        if field == "location":
            other = [place for place in WORDS["broader_places"] if place != artist.location]
            return replace(artist, location=draw.one_of(rng, other))
        _, latitude, longitude = draw.one_of(
            rng,
            [place for place in WORDS["artist_places"] if place[1] / 100_000 != artist.latitude],
        )
        return replace(artist, latitude=latitude / 100_000, longitude=longitude / 100_000)

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

    def _track_id(self, position: int) -> str:
        folder = position // SONGS_PER_FOLDER % 26**3
        prefix = LETTERS[folder // 676] + LETTERS[folder // 26 % 26] + LETTERS[folder % 26]
        return self._unused(f"TR{prefix}", LETTERS, "128F", HEX, 7)

    def _unused(self, start: str, letters: str, middle: str, digits: str, length: int) -> str:
        """Return a new id of 18 characters in the form of the real ones."""
        free = 18 - len(start) - len(middle) - length
        while True:
            filler = "".join(draw.one_of(self._rng, letters) for _ in range(free))
            number = "".join(draw.one_of(self._rng, digits) for _ in range(length))
            name = f"{start}{filler}{middle}{number}"
            if name not in self._ids:
                self._ids.add(name)
                return name


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
    if number % 300 == 14:
        return "Bath &amp; Bristol, England"
    if number % 400 == 16:
        return (
            '<a href="http://www.example.com/artists/biography.html" '
            'target="_blank">www.example.com/artists</a>, Leeds, England'
        )
    if number % 200 == 18:
        return f" {location or 'Leeds, England'} "
    return location


def _duration(rng: Random) -> int:
    """Return a duration in units of 0.00001 seconds, never a whole number of seconds."""
    kind = rng.random()
    if kind < 0.02:
        seconds = 8 + 50 * rng.random()
    elif kind < 0.04:
        seconds = 500 + 1500 * rng.random() * rng.random()
    else:
        seconds = 90 + 110 * (rng.random() + rng.random() + rng.random())
    units = int(seconds * 100_000)
    return units + (units % 100_000 == 0)


def _year(rng: Random) -> int:
    if rng.random() < SHARE_WITHOUT_YEAR:
        return 0
    return 2010 - int(55 * rng.random() * rng.random())


def _by_popularity(songs: list[Song], rng: Random) -> list[Song]:
    """Return the songs from most to least played."""
    order = draw.mixed(rng, songs)
    recordings = Counter(song.key for song in songs)
    # The rarest cases are played often enough to occur in a small lake.
    rare: list[Song] = []
    plain: list[Song] = []
    for song in order:
        is_text = isinstance(song.title, str) and isinstance(song.artist.name, str)
        (plain if is_text and recordings[song.key] == 1 else rare).append(song)
    ranked: list[Song] = []
    while rare or plain:
        take_rare = rare and (len(ranked) % 5 == 4 or not plain)
        ranked.append(rare.pop() if take_rare else plain.pop())
    return ranked


def _track_of(song: Song, rank: int, known: set[tuple[str, str]], rng: Random) -> Track:
    title, artist = song.key
    length = song.duration
    # Some plays know another length than the catalogue, as in the real data.
    if rank % 20 == 4:
        length += 4_13000
    elif rank % 20 == 10:
        length += draw.whole(rng, 13000, 160_00000)
    return _track(title, artist, length + (length % 100_000 == 0), known)


def _track(title: str, artist: str, length: int, known: set[tuple[str, str]]) -> Track:
    # Every character outside ASCII is garbled in the real events, so such songs match nothing.
    title, artist = garble(title), garble(artist)
    return Track(artist, title, length / 100_000, length // 100, (title, artist) in known)
