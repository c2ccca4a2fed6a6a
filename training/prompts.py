# SPDX-License-Identifier: Apache-2.0
"""Sentences about a scene, from many templates; only the standard library is needed.

Adjectives are missing at random, words have synonyms, the order of subject, floor and
wall changes, and now and then a sentence holds words that mean nothing for the scene,
so that free wording works later.
"""
COLOURS = {
    "red": ["red", "red", "scarlet", "crimson"], "orange": ["orange"],
    "yellow": ["yellow", "yellow", "golden"], "green": ["green"],
    "turquoise": ["turquoise", "turquoise", "cyan", "teal"], "blue": ["blue"],
    "purple": ["purple", "purple", "violet"], "pink": ["pink"],
    "white": ["white"], "black": ["black"],
}
SIZES = {"small": ["small", "small", "little", "tiny"],
         "medium": ["medium", "medium-sized", "middle-sized"],
         "large": ["large", "large", "big", "huge"]}
SHAPES = {"ball": ["ball", "ball", "ball", "sphere"],
          "cube": ["cube", "cube", "block", "box"]}
MATERIALS = {
    "metal": (["metal", "metal", "steel", "iron", "metallic"],
              ["metal", "steel", "iron", "solid metal"]),
    "wood": (["wooden", "wooden", "wood", "oak"], ["wood", "oak", "solid wood", "timber"]),
    "rubber": (["rubber", "rubber", "rubbery"], ["rubber", "soft rubber", "bouncy rubber"]),
}
FLOORS = {"grey": ["grey", "gray"], "brown": ["brown"], "beige": ["beige", "sandy"],
          "green": ["green"], "blue": ["blue"], "red": ["red", "reddish"],
          "dark": ["dark", "dark grey"], "white": ["white"]}
WALLS = {"white": ["white"], "grey": ["grey", "gray", "light grey"],
         "blue": ["blue", "light blue", "pale blue"], "green": ["green", "pale green"],
         "yellow": ["yellow", "pale yellow", "cream"], "pink": ["pink", "pale pink"],
         "purple": ["purple", "lavender"], "dark": ["dark", "dark blue", "navy"]}

# What the program takes for the negative prompt if it is given none, after cleaning.
NEGATIVE = ("色调艳丽,过曝,静态,细节模糊不清,字幕,风格,作品,画作,画面,静止,整体发灰,最差质量,低质量,"
            "JPEG压缩残留,丑陋的,残缺的,多余的手指")

FLOOR_NOUNS = ["floor", "floor", "ground", "table", "surface"]
WALL_NOUNS = ["wall", "wall", "background", "backdrop"]
FALLS = ["falls onto", "drops onto", "falls on", "lands on", "bounces on", "is dropped on",
         "hits", "is dropped onto", "comes down on", "strikes", "falls down to"]
FALLS_ALONE = ["falls and bounces", "is dropped", "falls down", "drops and bounces",
               "bounces a few times", "falls, bounces and comes to rest", "is let go",
               "drops to the ground", "falls from above"]
BEFORE_WALL = ["in front of", "before", "against"]
ENDINGS = ["and bounces", "and comes to rest", "until it lies still", "again and again",
           "with a sound at each impact", "and makes a sound", "and we hear it", ""]
OPENINGS = ["", "", "", "", "A video of", "We see", "Here is", "A short film:", "Slow motion,",
            "Look:", "The camera shows", "In this clip"]
EXTRAS = ["The camera does not move.", "The sound is clear.", "Nothing else happens.",
          "It is quiet otherwise.", "Soft light.", "A simple scene.", "Very realistic.",
          "Each impact can be heard.", "Please make it nice.", "High quality.",
          "The light comes from the left.", "No people.", "Studio shot."]
DISTRACTORS = """after again all also always any around away back because before big both
but by can clean clear close come day do down each edge end even every fast few film find
first for from get give go good great half hand hear high home hot how if into its just
keep kind last left light like line long look loud make many me more most move much my
near never new next nice no not now of off old once one only open or other our out over
own part people picture place play please right room round same see shows side simple slow
so some soon sound space start stop straight such sudden take than that then there they
thing this through time to toward turn two under up very view was way we well what when
where which while who will with world you your child cat dog street sky garden kitchen
morning evening music rain sun window house mother father friend happy gentle quiet smooth
shiny bright plain empty single beautiful lovely suddenly slowly quickly gently twice""".split()


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _maybe(rng, share, text):
    return text if rng.random() < share else ""


def _join(*parts):
    return " ".join(" ".join(p for p in parts if p).split())


def article(rng, noun, certain=0.35):
    """The noun with "the" or the fitting "a"/"an"."""
    if rng.random() < certain:
        return f"the {noun}"
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def thing(rng, scene, keep):
    """The noun phrase of the thing; each adjective stays with the share `keep`."""
    size = _maybe(rng, keep - 0.2, _pick(rng, SIZES[scene.size]))
    colour = _maybe(rng, keep, _pick(rng, COLOURS[scene.colour]))
    adjectives, nouns = MATERIALS[scene.material]
    noun = _pick(rng, SHAPES[scene.shape])
    named = rng.random() < 0.95
    if named and rng.random() < 0.3:
        link = _pick(rng, ["made of", "of", "made from"])
        return article(rng, _join(size, colour, noun, link, _pick(rng, nouns)))
    material = _pick(rng, adjectives) if named else ""
    words = [colour, material] if rng.random() < 0.85 else [material, colour]
    return article(rng, _join(size, *words, noun))


def floor(rng, scene, keep):
    colour = _maybe(rng, keep, _pick(rng, FLOORS[scene.floor]))
    return article(rng, _join(colour, _pick(rng, FLOOR_NOUNS)), 0.5)


def wall(rng, scene, keep):
    colour = _maybe(rng, keep, _pick(rng, WALLS[scene.wall]))
    return article(rng, _join(colour, _pick(rng, WALL_NOUNS)), 0.3)


def _sentence(rng, scene, keep):
    t, f, w = (part(rng, scene, keep) for part in (thing, floor, wall))
    before, fall, end = (_pick(rng, x) for x in (BEFORE_WALL, FALLS, ENDINGS))
    forms = [
        lambda: f"{t} {fall} {f} {before} {w}",
        lambda: f"{t} {fall} {f} {before} {w} {end}",
        lambda: f"{t} {fall} {f} {end}",
        lambda: f"{t} {fall} {f}",
        lambda: f"{t} {_pick(rng, FALLS_ALONE)}",
        lambda: f"{t} {_pick(rng, FALLS_ALONE)} on {f}, {before} {w}",
        lambda: f"{before} {w}, {t} {fall} {f}",
        lambda: f"{before} {w} {t} {fall} {f} {end}",
        lambda: f"on {f}, {t} bounces {end}",
        lambda: f"onto {f} {t} falls, the wall behind it is "
                f"{_pick(rng, WALLS[scene.wall])}",
        lambda: f"{t} above {f} falls {end}",
        lambda: f"{f} and {w}: {t} {_pick(rng, FALLS_ALONE)}",
        lambda: f"somebody drops {t} onto {f}",
        lambda: f"someone lets {t} fall on {f} {before} {w}",
        lambda: f"{t} bouncing on {f}, {w} behind",
        lambda: f"{t}",
        lambda: f"the sound of {t} that {fall} {f}",
    ]
    return _join(_pick(rng, forms)())


def _disturb(rng, words):
    """Put a few meaningless words, real or made up, between the others."""
    for _ in range(int(rng.integers(1, 4))):
        word = _pick(rng, DISTRACTORS)
        if rng.random() < 0.4:
            letters = "abcdefghijklmnopqrstuvwxyz"
            word = "".join(_pick(rng, letters) for _ in range(int(rng.integers(3, 9))))
        words.insert(int(rng.integers(len(words) + 1)), word)
    return words


def describe(rng, scene, keep=0.75):
    """One sentence or two.  `keep` is the share of adjectives that are said."""
    text = _join(_pick(rng, OPENINGS), _sentence(rng, scene, keep))
    if rng.random() < 0.25:
        text = " ".join(_disturb(rng, text.split()))
    if rng.random() < 0.85:
        text = text[0].upper() + text[1:]
    text += _pick(rng, [".", ".", ".", ""])
    if rng.random() < 0.2:
        text = _join(text, _pick(rng, EXTRAS))
    return text


def words():
    """Every word that the templates can make, lower case, in a fixed order."""
    pools = [COLOURS, SIZES, SHAPES, FLOORS, WALLS]
    texts = [t for pool in pools for options in pool.values() for t in options]
    texts += [t for pair in MATERIALS.values() for options in pair for t in options]
    texts += FLOOR_NOUNS + WALL_NOUNS + FALLS + FALLS_ALONE + BEFORE_WALL + ENDINGS
    texts += OPENINGS + EXTRAS + DISTRACTORS
    texts += ["a an the made of from on onto and above behind it is somebody someone drops "
              "lets fall bouncing that sound wall bounces falls"]
    found = {}
    for text in texts:
        for word in text.lower().replace(".", " ").replace(",", " ").replace(":", " ").split():
            found.setdefault(word)
    return list(found)


def subjects():
    """Words for the thing of a scene, of which a prompt should have one."""
    return list(dict.fromkeys(word for options in SHAPES.values() for word in options))
