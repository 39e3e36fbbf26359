"""Drawn posters and avatars, for a shelf that has no pictures yet (`manage.py seed`).

A poster is a paper-coloured sheet with a picture of a few flat shapes, the title, and a line that
says it was drawn. The same title and seed give the same picture. Pure Python and Pillow: no Django.
"""

import math
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

POSTER_SIZE = (600, 900)
AVATAR_SIZE = (256, 256)
LABEL = "DRAWN BY MOVIESHELF"

# Pillow's own font has no é. This one has Latin, Greek and Cyrillic (fonts/LICENSE.txt).
_FONT = Path(__file__).parent / "fonts" / "SourceSansPro-Black.ttf"

_MARGIN = 44
_PICTURE = 512  # the picture is a square this wide
_TITLE_TOP = _MARGIN + _PICTURE + 34
_TITLE_HEIGHT = 216
_TITLE_SIZES = (104, 90, 76, 66, 58, 50, 44, 38, 33, 28, 24, 20, 17, 14)
_LINE_HEIGHT = 1.02
# Pillow draws shapes with jagged edges; twice as large and then halved they are smooth.
_SCALE = 2
_SIDE = _PICTURE * _SCALE

type Colour = str
type Draw = ImageDraw.ImageDraw


class Palette(NamedTuple):
    """The colours of a sheet: its paper and ink, and those of the picture."""

    paper: Colour
    ink: Colour
    ground: Colour
    bright: Colour
    middle: Colour
    deep: Colour


PALETTES = (
    Palette("#f3ead8", "#1f2a33", "#e9b44c", "#f6f0e0", "#d1495b", "#22394a"),
    Palette("#14213d", "#f4efe1", "#23395b", "#fca311", "#e5633a", "#0b1426"),
    Palette("#efe6dd", "#2b2d42", "#7fb7be", "#fdf8ee", "#e76f51", "#264653"),
    Palette("#231942", "#f7ecdc", "#5e548e", "#ffcb77", "#e0607e", "#120b28"),
    Palette("#f7f1e3", "#17352b", "#8ab17d", "#f9e8b4", "#e9724c", "#17352b"),
    Palette("#2b0f12", "#f6e7cf", "#b3292e", "#f4c95d", "#7a1722", "#1b080a"),
    Palette("#e8edf0", "#16263a", "#9fb8c8", "#ffffff", "#ef6f6c", "#2d4a66"),
    Palette("#0f2a2e", "#f2efe2", "#1f5c5f", "#f3d27a", "#e2725b", "#081a1d"),
    Palette("#fbeee0", "#3d1f3a", "#f29e7d", "#fff3d6", "#b23a67", "#4a2350"),
    Palette("#1c1c1e", "#f0ebe0", "#3a3a3d", "#e8e1cf", "#d9a441", "#0e0e0f"),
)


def draw_poster(title: str, seed: int) -> bytes:
    """Draw a poster of 600 x 900 pixels: a JPEG of well under 80 KB.

    The same title and seed give the same bytes, as long as Pillow stays the same. Characters of
    other scripts than the font's (Latin, Greek, Cyrillic) are left out of the title.
    """
    random = Random(seed)
    palette = random.choice(PALETTES)
    motif = random.choice(MOTIFS)
    sheet = Image.new("RGB", POSTER_SIZE, palette.paper)
    sheet.paste(_picture(motif, palette, random), (_MARGIN, _MARGIN))
    _write_title(ImageDraw.Draw(sheet), title, palette)
    return _jpeg(sheet)


def draw_avatar(name: str, seed: int) -> bytes:
    """Draw a square of 256 pixels with a name's initials on a colour, as a JPEG."""
    letters = _writable(initials(name))
    palette = Random(seed).choice(PALETTES)
    sheet = Image.new("RGB", AVATAR_SIZE, palette.middle)
    centre = (AVATAR_SIZE[0] // 2, AVATAR_SIZE[1] // 2)
    ImageDraw.Draw(sheet).text(centre, letters, palette.bright, _font(112), anchor="mm")
    return _jpeg(sheet)


def initials(name: str) -> str:
    """Give the first letters of the first and last word, or "?" for a name without letters."""
    letters = [word[0] for word in name.split() if word[0].isalnum()]
    return "".join([*letters[:1], *letters[1:][-1:]]).upper() or "?"


def _picture(motif: "Motif", palette: Palette, random: Random) -> Image.Image:
    large = Image.new("RGB", (_SIDE, _SIDE), palette.ground)
    motif(ImageDraw.Draw(large), palette, random)
    return large.reduce(_SCALE)


def _write_title(draw: Draw, title: str, palette: Palette) -> None:
    size, lines = _fitted(_writable(title))
    for number, line in enumerate(lines):
        top = _TITLE_TOP + round(number * size * _LINE_HEIGHT)
        draw.text((_MARGIN - 2, top), line, palette.ink, _font(size), anchor="la")
    foot = POSTER_SIZE[1] - _MARGIN
    draw.text((_MARGIN, foot), LABEL, palette.ink, _font(14), anchor="ls")


def _fitted(title: str) -> tuple[int, list[str]]:
    """Find the largest type in which the title fits, and its lines; the last resort is cut."""
    for size in _TITLE_SIZES:
        lines = _wrapped(title, size)
        if lines and len(lines) * size * _LINE_HEIGHT <= _TITLE_HEIGHT:
            return size, lines
    return size, lines[: int(_TITLE_HEIGHT // (size * _LINE_HEIGHT))]


def _wrapped(title: str, size: int) -> list[str]:
    """Break a title between words, or inside one that is wider than the sheet by itself.

    In large type a long word is a reason to take smaller type instead: no lines are given.
    """
    lines: list[str] = []
    for word in title.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if _width(longer, size) <= _PICTURE:
            lines[-1:] = [longer]
            continue
        if _width(word, size) > _PICTURE and size > _TITLE_SIZES[-1]:
            return []
        lines += _chopped(word, size)
    return lines


def _chopped(word: str, size: int) -> list[str]:
    pieces = [""]
    for character in word:
        if _width(pieces[-1] + character, size) > _PICTURE:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _width(text: str, size: int) -> float:
    return _font(size).getlength(text)


def _writable(text: str) -> str:
    """Leave out what the font would draw as an empty box."""
    return "".join(c for c in text if c.isspace() or _has_glyph(c))


@cache
def _has_glyph(character: str) -> bool:
    # Pillow does not tell; but what is missing looks like U+FFFF, which no font has.
    return bytes(_font(16).getmask(character)) != bytes(_font(16).getmask("\uffff"))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONT, size)


def _jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


# The motifs. Each draws on a square of _SIDE pixels, already filled with the ground colour.

type Motif = Callable[[Draw, Palette, Random], None]


def _disc(draw: Draw, x: float, y: float, radius: float, colour: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _sunset(draw: Draw, palette: Palette, random: Random) -> None:
    """A sun behind the sea, cut into ever wider strips."""
    x = _SIDE * random.uniform(0.35, 0.65)
    horizon = _SIDE * random.uniform(0.58, 0.68)
    radius = _SIDE * random.uniform(0.3, 0.36)
    _disc(draw, x, horizon - radius * 0.25, radius, palette.bright)
    draw.rectangle((0, horizon, _SIDE, _SIDE), fill=palette.deep)
    y, gap, strip = horizon, 10.0, 30.0
    width = radius * 0.95
    while y < _SIDE and width > 0:
        y += gap
        draw.rounded_rectangle((x - width, y, x + width, y + strip), strip / 2, fill=palette.middle)
        y, gap, strip, width = y + strip, gap + 7, strip * 0.86, width * 0.8


def _hills(draw: Draw, palette: Palette, random: Random) -> None:
    """Ranges of hills under a moon, the nearest the darkest."""
    _disc(draw, _SIDE * random.uniform(0.25, 0.75), _SIDE * 0.3, _SIDE * 0.15, palette.bright)
    colours = (_mixed(palette.ground, palette.middle, 0.55), palette.middle, palette.deep)
    for number, colour in enumerate(colours):
        phase, waves = random.uniform(0, 6.28), random.uniform(1.2, 2.2)
        base, height = _SIDE * (0.52 + 0.17 * number), _SIDE * 0.075
        ridge = [
            (x, base + height * math.sin(phase + waves * math.tau * x / _SIDE))
            for x in range(0, _SIDE + 8, 8)
        ]
        draw.polygon([(0, _SIDE), *ridge, (_SIDE, _SIDE)], fill=colour)


def _rings(draw: Draw, palette: Palette, random: Random) -> None:
    """Rings around a corner or a side, like ripples or a record."""
    x, y = random.choice([(0.0, 1.0), (1.0, 1.0), (0.5, 1.0), (0.5, 0.5), (1.0, 0.0)])
    colours = (palette.deep, palette.middle, palette.bright, palette.ground)
    rings = random.randint(7, 10)
    reach = 1.05 if (x, y) != (0.5, 0.5) else 0.68
    for number in range(rings, 0, -1):
        colour = colours[(rings - number) % len(colours)]
        _disc(draw, x * _SIDE, y * _SIDE, _SIDE * reach * number / rings, colour)


def _tiles(draw: Draw, palette: Palette, random: Random) -> None:
    """A floor of tiles, each with a quarter of a disc."""
    count = random.choice([3, 4])
    side = math.ceil(_SIDE / count)
    colours = [palette.ground, palette.bright, palette.middle, palette.deep]
    for column in range(count):
        for row in range(count):
            back, front = random.sample(colours, 2)
            left, top = column * side, row * side
            draw.rectangle((left, top, left + side, top + side), fill=back)
            right, below, start = random.choice([(0, 0, 0), (1, 0, 90), (1, 1, 180), (0, 1, 270)])
            # Corners between pixels, so that two tiles of one colour meet without a seam.
            x, y = left + right * side - 0.5, top + below * side - 0.5
            box = (x - side, y - side, x + side, y + side)
            draw.pieslice(box, start, start + 90, fill=front)


def _rays(draw: Draw, palette: Palette, random: Random) -> None:
    """Rays from behind a disc, to the edges of the picture."""
    x, y = _SIDE * random.uniform(0.3, 0.7), _SIDE * random.uniform(0.45, 0.75)
    rays = random.choice([12, 16, 20])
    turn = random.uniform(0, 360)
    reach = _SIDE * 1.5
    box = (x - reach, y - reach, x + reach, y + reach)
    colour = _mixed(palette.ground, palette.bright, 0.35)
    for number in range(rays):
        start = turn + number * 360 / rays
        draw.pieslice(box, start, start + 180 / rays, fill=colour)
    _disc(draw, x, y, _SIDE * 0.25, palette.middle)
    _disc(draw, x, y, _SIDE * 0.13, palette.deep)


def _skyline(draw: Draw, palette: Palette, random: Random) -> None:
    """A city at night, some windows lit."""
    _disc(draw, _SIDE * random.uniform(0.2, 0.8), _SIDE * 0.27, _SIDE * 0.13, palette.bright)
    back, far = 0, _mixed(palette.ground, palette.deep, 0.45)
    while back < _SIDE:
        width = random.randint(90, 170)
        draw.rectangle((back, _SIDE * random.uniform(0.38, 0.6), back + width, _SIDE), fill=far)
        back += width
    left = random.randint(-60, 0)
    while left < _SIDE:
        width, top = 40 * random.randint(3, 5), int(_SIDE * random.uniform(0.5, 0.78))
        draw.rectangle((left, top, left + width, _SIDE), fill=palette.deep)
        for x in range(left + 20, left + width - 19, 40):
            for y in range(top + 28, _SIDE, 52):
                if random.random() < 0.35:
                    draw.rectangle((x, y, x + 18, y + 26), fill=palette.middle)
        left += width + random.choice([0, 0, 26])


def _eclipse(draw: Draw, palette: Palette, random: Random) -> None:
    """One disc before another, on a ground of two colours."""
    split = _SIDE * random.uniform(0.4, 0.6)
    draw.rectangle((0, split, _SIDE, _SIDE), fill=palette.middle)
    radius = _SIDE * random.uniform(0.28, 0.34)
    offset = _SIDE * random.uniform(0.06, 0.12) * random.choice([-1, 1])
    _disc(draw, _SIDE / 2 + offset, _SIDE / 2 - abs(offset), radius, palette.bright)
    _disc(draw, _SIDE / 2 - offset, _SIDE / 2 + abs(offset), radius, palette.deep)


def _spiral(draw: Draw, palette: Palette, random: Random) -> None:
    """Squares turning as they shrink: a staircase seen from above."""
    colours = (palette.deep, palette.middle, palette.bright, palette.ground)
    turn = random.choice([-1, 1]) * random.uniform(9, 13)
    radius, angle, number = _SIDE * 0.86, random.uniform(0, 90), 0
    while radius > 50:
        square = (_SIDE / 2, _SIDE / 2, radius)
        draw.regular_polygon(square, 4, angle, fill=colours[number % len(colours)])
        radius, angle, number = radius * 0.8, angle + turn, number + 1


def _arches(draw: Draw, palette: Palette, random: Random) -> None:
    """Doorways one inside the other, and a disc on the way out."""
    colours = (palette.deep, palette.middle, palette.bright, palette.ground)
    x, doors = _SIDE * random.uniform(0.42, 0.58), random.randint(4, 6)
    for number in range(doors):
        half = _SIDE * 0.44 * (1 - number / (doors + 0.6))
        top = _SIDE * (0.08 + 0.5 * number / doors)
        box = (x - half, top, x + half, _SIDE + half)
        draw.rounded_rectangle(box, half, fill=colours[number % len(colours)])
    _disc(draw, x, _SIDE * 0.86, _SIDE * 0.045, colours[doors % len(colours)])


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Mix two colours #rrggbb; `share` is that of the other, 0..1."""
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(a + (b - a) * share) for a, b in pairs).hex()


MOTIFS: tuple[Motif, ...] = (
    _sunset,
    _hills,
    _rings,
    _tiles,
    _rays,
    _skyline,
    _eclipse,
    _spiral,
    _arches,
)
