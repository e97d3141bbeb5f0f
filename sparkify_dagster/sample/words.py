"""Word lists from which the invented artists, songs, listeners and browsers are put together."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ADJECTIVES = _words(
    "Amber Ashen Bitter Borrowed Bronze Careless Chalk Cinder Copper Crooked Dappled Distant "
    "Drifting Dusty Eleventh Faded Fallow Feathered Flaxen Folded Frosted Gentle Gilded Glass "
    "Hazel Hollow Hushed Idle Indigo Ivory Jagged Kindled Lacquered Late Leaden Lonesome Marbled "
    "Mellow Mended Midweek Molten Mossy Narrow Nomad Ochre Painted Paper Patient Plaid Quiet "
    "Ragged Restless Rusted Saffron Salted Scarlet Seventh Silent Slow Sleepless Slender Smoky "
    "Solemn Spare Stolen Sudden Tangled Tawny Thirsty Tidal Timid Umber Uneven Unsent Vagrant "
    "Wandering Weathered Wicker Wilted Winding Woollen Yonder"
)

NOUNS = _words(
    "Almanac Anchor Anvil Arcade Atlas Attic Balcony Barley Beacon Birch Bonfire Bramble "
    "Bridge Cabinet Canal Candle Cannery Carousel Cartographer Cedar Chimney Cinnamon Clover "
    "Compass Copse Cornice Courier Cricket Dahlia Delta Ember Envelope Estuary Falcon Fennel "
    "Ferry Fiddle Foundry Fountain Furrow Gable Gallery Garden Granary Gully Hammock Harbour "
    "Harvest Hearth Heron Hinge Horizon Inkwell Island Jigsaw Juniper Kettle Kite Ladder Lagoon "
    "Lantern Larder Ledger Lighthouse Lichen Locket Magpie Mallet Mariner Marigold Meadow Mill "
    "Mirror Mosaic Needle Nettle Oboe Orchard Otter Paddock Pantry Parcel Parlour Pebble Pendulum "
    "Pier Pigeon Plough Postcard Prairie Quarry Quill Raven Ribbon Riddle River Rooftop Saddle "
    "Sailor Satellite Shutter Signal Sparrow Spindle Staircase Station Sundial Tambourine Teacup "
    "Thicket Thimble Timber Trellis Tunnel Turbine Umbrella Valley Varnish Vineyard Violet Wagon "
    "Walnut Weaver Whistle Willow Window Winter Workshop Zephyr"
)

VERBS = _words(
    "Burn Carry Chase Count Cross Draw Find Fold Follow Forget Hold Hum Keep Leave Lift Light "
    "Lose Mend Paint Remember Ring Shake Sing Spin Steal Tell Turn Wait Wake Walk"
)

ADVERBS = _words(
    "Again Alone Anyway Backwards Early Home Tomorrow Northward Slowly Softly Sometimes Sunday "
    "Tonight Twice Under Yesterday"
)

# Words outside ASCII, so that escapes and byte lengths are met.
ACCENTED = _words(
    "Ålesund Äpfel Brumárny Café Canción Cœur Dépôt Éclair Façade Fjällräven Götaland Hüllen "
    "Jardín Kołysanka Mañana Mélodie Naïve Niño Ölberg Pâquerette Påfugl Réservoir Señal Siðir "
    "Smörgås Straße Trapézio Träumer Überfahrt Ünsal Verão Żuraw Ямщик 雨宿り"
)

WOMEN = _words(
    "Abby Adeline Alma Bettina Bria Camille Cora Dalia Delphine Edie Elna Esme Fern Flora Gwen "
    "Hattie Ida Imogen Ines Jolene Juno Karla Leonie Lotta Maeve Marit Mina Nadia Nell Odette "
    "Orla Petra Priya Renata Rosalind Sabine Selma Tamsin Thea Una Vera Wanda Yara Zelda"
)

MEN = _words(
    "Abel Alden Anton Basil Bram Caleb Casper Conrad Dario Desmond Edgar Elias Emeka Felix Fritz "
    "Gareth Gideon Hamish Hugo Ivo Jarvis Joaquin Kasper Kenji Lars Leopold Magnus Milo Nico Noel "
    "Omar Oskar Piet Quentin Rafael Rufus Silas Stellan Tariq Tobin Ulric Victor Wendell "
    "Yusuf"
)

SURNAMES = _words(
    "Abernall Ashdown Bakewright Birchall Blackmere Brantley Calloway Carrowby Clayborne Corvane "
    "Dallimore Dunmarsh Eastlake Elverton Fairbourne Farrowby Fenwright Galbrook Garlow Glenister "
    "Hallorow Hartsell Haverly Holloway Ingleby Jessamy Kelloway Kestrel Kingsmere Lanyon Larkhill "
    "Lindqvist Lorrimer Maddern Marlowe Merriden Mossgrove Nethercott Norwell Oakhurst Okonwe "
    "Ormsby Pellerin Pennington Quillan Ravenhall Redfern Rosewarne Sandoval Selwick Stanmore "
    "Tamura Tessler Thornbury Tremayne Underhill Vandermolen Vasker Wainscott Westerby Whitlow "
    "Winterset Wrenfield Yarborough Zielman"
)

ENSEMBLES = ("Quartet", "Trio", "Orchestra", "Sound System", "Collective", "Choir", "Brass Band")

# Metropolitan areas in the Census Bureau's form: the events' `location`.
METRO_AREAS = (
    "Akron, OH",
    "Albuquerque, NM",
    "Anchorage, AK",
    "Asheville, NC",
    "Austin-Round Rock, TX",
    "Bakersfield, CA",
    "Baton Rouge, LA",
    "Boise City, ID",
    "Boston-Cambridge-Newton, MA-NH",
    "Buffalo-Cheektowaga-Niagara Falls, NY",
    "Burlington-South Burlington, VT",
    "Charleston-North Charleston, SC",
    "Cheyenne, WY",
    "Cleveland-Elyria, OH",
    "Colorado Springs, CO",
    "Dayton, OH",
    "Denver-Aurora-Lakewood, CO",
    "Des Moines-West Des Moines, IA",
    "Duluth, MN-WI",
    "El Paso, TX",
    "Eugene, OR",
    "Fargo, ND-MN",
    "Fresno, CA",
    "Grand Rapids-Wyoming, MI",
    "Honolulu, HI",
    "Jackson, MS",
    "Kansas City, MO-KS",
    "Knoxville, TN",
    "Las Vegas-Henderson-Paradise, NV",
    "Lincoln, NE",
    "Louisville/Jefferson County, KY-IN",
    "Madison, WI",
    "Memphis, TN-MS-AR",
    "Minneapolis-St. Paul-Bloomington, MN-WI",
    "Missoula, MT",
    "Mobile, AL",
    "Nashville-Davidson--Murfreesboro--Franklin, TN",
    "New York-Newark-Jersey City, NY-NJ-PA",
    "Ogden-Clearfield, UT",
    "Oklahoma City, OK",
    "Pittsburgh, PA",
    "Providence-Warwick, RI-MA",
    "Richmond, VA",
    "Rochester, NY",
    "San Diego-Carlsbad, CA",
    "Savannah, GA",
    "Seattle-Tacoma-Bellevue, WA",
    "Spokane-Spokane Valley, WA",
    "St. Louis, MO-IL",
    "Tucson, AZ",
    "Tulsa, OK",
    "Wichita, KS",
)

# Where artists come from: name, latitude and longitude in units of 0.00001 degrees.
ARTIST_PLACES = (
    ("Adelaide, South Australia", -3492866, 13859863),
    ("Antwerp, Belgium", 5122047, 440026),
    ("Bergen, Norway", 6039299, 532415),
    ("Bogotá, Colombia", 471099, -7407209),
    ("Bristol, England", 5145451, -258791),
    ("Brooklyn, NY", 4065010, -7394958),
    ("Cork, Ireland", 5189797, -847061),
    ("Curitiba, Brazil", -2542895, -4926733),
    ("Dakar, Senegal", 1469278, -1744672),
    ("Düsseldorf, Germany", 5122172, 677616),
    ("Glasgow, Scotland", 5586424, -425181),
    ("Halifax, Nova Scotia", 4464882, -6357532),
    ("Kyoto, Japan", 3501163, 13576803),
    ("La Plata, Argentina", -3492145, -5795453),
    ("Leeds, England", 5380076, -154908),
    ("Lyon, France", 4576404, 483566),
    ("Malmö, Sweden", 5560498, 1300382),
    ("Memphis, TN", 3514953, -9004898),
    ("Minneapolis, MN", 4497775, -9326501),
    ("Montréal, Québec", 4550169, -7356726),
    ("New Orleans, LA", 2995107, -9007153),
    ("Oakland, CA", 3780436, -12227111),
    ("Oaxaca, Mexico", 1706056, -9672556),
    ("Porto, Portugal", 4115794, -862911),
    ("Reykjavík, Iceland", 6413548, -2189541),
    ("Seattle, WA", 4760621, -12233207),
    ("Tallinn, Estonia", 5943696, 2475357),
    ("Tucson, AZ", 3222174, -11092648),
    ("Turku, Finland", 6045148, 2226867),
    ("Wellington, New Zealand", -4128664, 17477557),
)

BROADER_PLACES = ("California", "England", "Europe", "New York", "Scandinavia", "Texas - Austin")

# Band names and song titles, the more often the larger the number. Commas have become underscores
# in the real titles.
ARTIST_PATTERNS = (
    ("The {adjective} {nouns}", 25),
    ("{first_name} {surname}", 20),
    ("{adjective} {noun}", 15),
    ("{noun} {other}", 15),
    ("{surname} & The {nouns}", 8),
    ("{surname} {ensemble}", 7),
    ("{nouns} / {first_name} {surname}", 3),
    ("DJ {noun}", 3),
    ("{accented} {noun}", 4),
)
TITLE_PATTERNS = (
    ("{adjective} {noun}", 25),
    ("{verb} The {noun}", 15),
    ("{noun} In The {other}", 12),
    ("{verb} Me {adverb}", 10),
    ("{noun}", 8),
    ("{adjective} {noun} (Album Version)", 8),
    ("{first_name}'s {noun}", 6),
    ("{verb} {adverb} / {noun}", 5),
    ("{noun}_ {other} And {adjective} {nouns} (Live)", 5),
    ('{verb} "{adverb}"', 3),
    ("{accented} {noun}", 3),
)


def plural(noun: str) -> str:
    """Return the plural of one of the nouns above."""
    if noun.endswith("y") and noun[-2] not in "aeo":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "ch", "x")) else f"{noun}s"
