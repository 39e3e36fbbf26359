"""What the decoding door takes, what it makes of it, and what it refuses (security-cases G)."""

import hashlib
import io
import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps, ImageStat

from media.images import (
    BrokenImage,
    CleanImage,
    DecoderBusy,
    ImageDoor,
    ImageLimits,
    ImageRefused,
    ImageTooHeavy,
    ImageTooLarge,
    UnknownImageType,
)
from media.tests import pictures

DOOR = ImageDoor()
FAMILIES = {"JPEG": pictures.jpeg, "PNG": pictures.png, "WEBP": pictures.webp}
CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

every_family = pytest.mark.parametrize("family", FAMILIES)


def opened(clean: CleanImage) -> Image.Image:
    """Open what the door gave, making sure that it is what it is said to be."""
    image = Image.open(io.BytesIO(clean.data))
    image.load()
    assert Image.MIME[image.format or ""] == clean.content_type
    assert image.size == (clean.width, clean.height)
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return by how much two pictures differ in their worst channel, of 255, root mean square."""
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).rms)


def seen_difference(one: Image.Image, other: Image.Image) -> float:
    """Return the same for brightness alone, which is where the eye is sharp."""
    return difference(one.convert("L"), other.convert("L"))


def png_kinds(data: bytes) -> set[bytes]:
    kinds, at = set(), 8
    while at < len(data):
        kinds.add(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4])
    return kinds


def webp_kinds(data: bytes) -> list[bytes]:
    kinds, at = [], 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        kinds.append(data[at : at + 4])
        at += 8 + length + length % 2
    return kinds


# --- What is taken -----------------------------------------------------------------------------


@every_family
def test_a_picture_stays_in_its_family_and_is_described_rightly(family: str) -> None:
    clean = DOOR.clean(FAMILIES[family]())

    assert clean.content_type == CONTENT_TYPES[family]
    assert (clean.width, clean.height) == (96, 64)
    assert clean.sha256 == hashlib.sha256(clean.data).hexdigest()
    opened(clean)


@every_family
def test_the_same_file_always_gives_the_same_bytes(family: str) -> None:
    assert DOOR.clean(FAMILIES[family]()) == DOOR.clean(FAMILIES[family]())


@every_family
def test_what_was_cleaned_can_be_cleaned_again(family: str) -> None:
    once = DOOR.clean(FAMILIES[family]())

    again = DOOR.clean(once.data)

    assert again.content_type == once.content_type
    assert difference(opened(again), opened(once)) < 4


@every_family
def test_a_picture_of_one_pixel_is_taken(family: str) -> None:
    """G 112."""
    clean = DOOR.clean(pictures.encoded(Image.new("RGB", (1, 1), "teal"), family))

    assert (clean.width, clean.height) == (1, 1)


def test_a_multi_picture_jpeg_of_a_phone_gives_its_first_picture() -> None:
    clean = DOOR.clean(pictures.phone_jpeg())

    assert clean.content_type == "image/jpeg"
    assert difference(opened(clean), pictures.photo()) < 12
    assert clean.data.count(b"\xff\xd8\xff") == 1


@every_family
def test_bytes_after_the_end_are_left_behind(family: str) -> None:
    """G 115: GIFAR and PNG+ZIP."""
    data = FAMILIES[family]()

    with_zip = DOOR.clean(data + b"PK\3\4" + pictures.MARKER)

    assert with_zip == DOOR.clean(data)


@pytest.mark.parametrize("option", ["progressive", "restart_marker_rows", "keep_rgb"])
def test_every_way_to_write_a_jpeg_is_taken(option: str) -> None:
    clean = DOOR.clean(pictures.encoded(pictures.photo(), "JPEG", **{option: 1}))

    assert difference(opened(clean), pictures.photo()) < 12


def test_filling_between_jpeg_segments_is_tolerated() -> None:
    data = pictures.jpeg()

    assert DOOR.clean(data[:2] + b"\xff\xff\xff" + data[2:]) == DOOR.clean(data)


def test_an_interlaced_png_is_taken() -> None:
    rows = b"\0\xff\0\0"  # of one pixel, the first pass is all
    clean = DOOR.clean(pictures.png_file((1, 1), 8, 2, rows, interlace=1))

    assert opened(clean).getpixel((0, 0)) == (255, 0, 0)


# --- What is refused: types --------------------------------------------------------------------


@pytest.mark.parametrize("name", pictures.other_types())
def test_another_type_is_refused_by_its_content_and_named(name: str) -> None:
    """G 108 and G 116."""
    data = pictures.other_types()[name]

    with pytest.raises(UnknownImageType) as refusal:
        DOOR.clean(data)

    assert refusal.value.message == f"This is {name}; a JPEG, PNG or WebP is needed."


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(BrokenImage, match="empty"):
        DOOR.clean(b"")


# --- What is refused: sizes --------------------------------------------------------------------


def test_the_limit_of_bytes_is_inclusive() -> None:
    """G 119."""
    data = pictures.jpeg()

    ImageDoor(ImageLimits(max_bytes=len(data))).clean(data)
    with pytest.raises(ImageTooHeavy, match=rf"has {len(data):,} bytes; {len(data) - 1:,} are"):
        ImageDoor(ImageLimits(max_bytes=len(data) - 1)).clean(data)


@every_family
def test_the_limit_of_pixels_is_inclusive(family: str) -> None:
    data = FAMILIES[family]()

    ImageDoor(ImageLimits(max_pixels=96 * 64)).clean(data)
    with pytest.raises(ImageTooLarge, match="has 6,144 pixels; 6,143 are allowed"):
        ImageDoor(ImageLimits(max_pixels=96 * 64 - 1)).clean(data)


@every_family
def test_the_limit_of_a_side_is_inclusive(family: str) -> None:
    data = FAMILIES[family]()

    ImageDoor(ImageLimits(max_side=96)).clean(data)
    with pytest.raises(ImageTooLarge, match="96 pixels wide and 64 high; 95 a side"):
        ImageDoor(ImageLimits(max_side=95)).clean(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pictures.tiny_webp_claiming(16_383, 10_900), "has 178,574,700 pixels; 40,000,000 are"),
        (pictures.one_bit_png(13_000), "has 169,000,000 pixels"),
        (pictures.jpeg_claiming(13_000, 13_000), "has 169,000,000 pixels"),
        (pictures.png_claiming(2**31 - 1, 2**31 - 1), "has 4,611,686,014,132,420,609 pixels"),
        (pictures.png_claiming(2**31 - 1, 1)[:40], "has 2,147,483,647 pixels"),
        (pictures.extended_webp((1 << 24, 1 << 24), 0), "has 281,474,976,710,656 pixels"),
        (pictures.png_claiming(60_000, 1), "60,000 pixels wide and 1 high; 16,000 a side"),
        (pictures.jpeg_claiming(1, 65_500), "1 pixels wide and 65,500 high"),
    ],
)
def test_a_picture_too_large_is_refused_by_its_header(data: bytes, message: str) -> None:
    """G 110 and G 112."""
    with pytest.raises(ImageTooLarge, match=message):
        DOOR.clean(data)


@pytest.mark.parametrize(
    "data",
    [
        pictures.png_claiming(0, 0),
        pictures.jpeg_claiming(0, 0),
        pictures.jpeg_claiming(60_000, 0),
        pictures.webp_file(
            pictures.riff_chunk(b"VP8 ", b"\0\0\0\x9d\x01\x2a\0\0\0\0" + bytes(20)),
        ),
    ],
)
def test_a_picture_without_pixels_is_refused(data: bytes) -> None:
    """G 112."""
    with pytest.raises(BrokenImage, match="no pixels"):
        DOOR.clean(data)


MEASURE = """
import json, sys
from pathlib import Path
from media.images import ImageDoor, ImageRefused

def peak_kilobytes():  # not getrusage: its peak is inherited from the parent
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

door, before = ImageDoor(), peak_kilobytes()
refused = 0
for bomb in Path(sys.argv[1]).iterdir():
    try:
        door.clean(bomb.read_bytes())
    except ImageRefused:
        refused += 1
print(json.dumps([refused, peak_kilobytes() - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak memory")
def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """G 110, G 111 and G 113: 50 MB at most, of a process that sees nothing else."""
    bombs = [
        pictures.tiny_webp_claiming(16_383, 10_900),
        pictures.extended_webp((16_383, 10_900), 0x02, pictures.riff_chunk(b"ANIM", bytes(6))),
        pictures.one_bit_png(13_000),
        pictures.jpeg_claiming(13_000, 13_000),
        pictures.png_claiming(2**31 - 1, 2**31 - 1),
        pictures.many_framed_webp(100_000),
        pictures.text_bomb_png(b"zTXt")[:-1],
    ]
    for number, bomb in enumerate(bombs):
        (tmp_path / str(number)).write_bytes(bomb)

    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, check=True
    )

    refused, kilobytes = json.loads(measured.stdout)
    assert refused == len(bombs)
    assert kilobytes < 50_000


# --- What is refused: damage -------------------------------------------------------------------

DAMAGED_FILES = {
    "JPEG": pictures.jpeg(),
    "progressive JPEG": pictures.jpeg(progressive=True),
    "JPEG with a thumbnail": pictures.with_exif("JPEG", pictures.photo(), 1),
    "PNG": pictures.png(),
    "WebP": pictures.webp(),
    "lossless WebP": pictures.webp(lossless=True),
    "WebP with EXIF": pictures.with_exif("WEBP", pictures.photo(), 1),
    "animated WebP": pictures.animated("WEBP"),
}


@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_a_file_cut_short_at_any_tenth_is_refused(name: str, tenths: int) -> None:
    """G 114."""
    data = DAMAGED_FILES[name]

    with pytest.raises(BrokenImage):
        DOOR.clean(data[: len(data) * tenths // 10])


@pytest.mark.parametrize("missing", [1, 2, 3, 12])
@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_a_file_without_its_last_bytes_is_refused(name: str, missing: int) -> None:
    """G 114: Pillow itself takes a PNG without IEND and a JPEG without its end marker."""
    with pytest.raises(BrokenImage):
        DOOR.clean(DAMAGED_FILES[name][:-missing])


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND", b"tEXt"])
def test_a_png_chunk_with_a_bad_checksum_is_refused(kind: bytes) -> None:
    """G 114."""
    data = bytearray(pictures.with_png_chunk(pictures.png(), pictures.png_chunk(b"tEXt", b"a\0b")))
    at = data.index(kind)
    data[at + 4 + int.from_bytes(data[at - 4 : at])] ^= 1

    with pytest.raises(BrokenImage, match="damaged"):
        DOOR.clean(bytes(data))


PNG_HEADER = pictures.png()[8:33]


@pytest.mark.parametrize(
    "data",
    [
        pictures.with_png_chunk(pictures.png(), PNG_HEADER),
        pictures.with_png_chunk(pictures.png(), pictures.png_chunk(b"CgBI", b"\x50\0\x20\x06")),
        pictures.png()[:8] + pictures.png_chunk(b"IHDR", b"short") + pictures.png()[33:],
        pictures.png()[:8] + pictures.png()[33:],
        pictures.png()[:33] + pictures.png_chunk(b"IEND"),
        pictures.png_file((4, 4), 8, 2, b""),
        pictures.png_file((4, 4), 5, 2, bytes(52)),
    ],
    ids=[
        "two headers",
        "a chunk that must be understood",
        "a short header",
        "no header",
        "no pixels",
        "empty pixels",
        "five bits a sample",
    ],
)
def test_a_png_of_wrong_structure_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenImage):
        DOOR.clean(data)


JPEG_FRAME = pictures.jpeg()[pictures.jpeg().index(b"\xff\xc0") :][:19]


@pytest.mark.parametrize(
    "data",
    [
        pictures.with_jpeg_segment(pictures.jpeg(), JPEG_FRAME),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + JPEG_FRAME + b"\xff\xd9",
        pictures.with_jpeg_segment(pictures.jpeg(), b"\xff\xd8"),
        pictures.with_jpeg_segment(pictures.jpeg(), b"\xff\xe1\0\0"),
        pictures.jpeg().replace(JPEG_FRAME, b"\xff\xc0\0\5" + JPEG_FRAME[4:7]),
        pictures.jpeg().replace(JPEG_FRAME, JPEG_FRAME[:4] + b"\x0c" + JPEG_FRAME[5:]),
    ],
    ids=[
        "two frames",
        "nothing",
        "no scan",
        "a second start",
        "a segment without length",
        "a short frame header",
        "twelve bits a sample",
    ],
)
def test_a_jpeg_of_wrong_structure_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenImage):
        DOOR.clean(data)


def test_a_webp_whose_frame_is_not_the_size_it_says_is_refused() -> None:
    frame = pictures.riff_chunk(b"VP8L", pictures.tiny_webp_claiming(16_000, 16_000)[20:])

    with pytest.raises(BrokenImage):
        DOOR.clean(pictures.extended_webp((10, 10), 0, frame))


def test_a_jpeg_that_makes_the_decoder_pass_again_and_again_is_refused() -> None:
    with pytest.raises(BrokenImage, match="210 scans; 64 are allowed"):
        DOOR.clean(pictures.many_scanned_jpeg(200))


@pytest.mark.parametrize(
    "data",
    [
        pictures.with_png_chunk(pictures.png(), pictures.png_chunk(b"tEXt") * 20_000),
        pictures.with_jpeg_segment(pictures.jpeg(), pictures.jpeg_segment(0xEF, b"") * 20_000),
        pictures.many_framed_webp(20_000),
    ],
    ids=list(FAMILIES),
)
def test_a_file_in_too_many_parts_is_refused(data: bytes) -> None:
    """G 111."""
    with pytest.raises(BrokenImage, match="too many parts; 20,000 are allowed"):
        DOOR.clean(data)


@pytest.mark.parametrize("problem", [OSError, SyntaxError, MemoryError, IndexError, RuntimeError])
def test_whatever_the_decoder_raises_is_a_broken_image(
    problem: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise problem

    monkeypatch.setattr(Image, "open", fail)

    with pytest.raises(BrokenImage):
        DOOR.clean(pictures.jpeg())


# --- First frame only --------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["PNG", "WEBP"])
@pytest.mark.parametrize("frames", [2, 300])
def test_an_animation_gives_its_first_frame(family: str, frames: int) -> None:
    """G 111."""
    clean = DOOR.clean(pictures.animated(family, frames))

    image = opened(clean)
    assert getattr(image, "n_frames", 1) == 1
    assert difference(image, Image.new("RGB", (40, 30), "red")) < 4
    assert len(clean.data) < 1000


def test_further_frames_of_a_webp_are_not_even_decoded() -> None:
    """G 111."""
    first, second = pictures.animated("WEBP", 2).split(b"ANMF", 2)[1:]
    rubbish = second[:20] + b"\xaa" * (len(second) - 20)
    data = pictures.extended_webp(
        (40, 30), 0x02, pictures.riff_chunk(b"ANIM", bytes(6)), b"ANMF" + first, b"ANMF" + rubbish
    )

    assert difference(opened(DOOR.clean(data)), Image.new("RGB", (40, 30), "red")) < 4


@pytest.mark.parametrize("frames", [0, 1, 2**31 - 1, 2**32 - 1])
def test_a_lie_about_the_number_of_frames_is_harmless(frames: int) -> None:
    """G 111."""
    lie = pictures.png_chunk(b"acTL", frames.to_bytes(4) + bytes(4))

    clean = DOOR.clean(pictures.with_png_chunk(pictures.png(), lie))

    assert clean == DOOR.clean(pictures.png())


# --- Nothing but pixels ------------------------------------------------------------------------


def loaded_jpeg() -> bytes:
    """A JPEG with a text in every place it has for one."""
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + pictures.MARKER
    return pictures.with_jpeg_segment(
        pictures.jpeg(),
        pictures.jpeg_segment(0xFE, pictures.MARKER),
        pictures.jpeg_segment(0xE1, b"Exif\0\0" + pictures.exif()),
        pictures.jpeg_segment(0xE1, xmp),
        pictures.jpeg_segment(0xED, b"Photoshop 3.0\0" + pictures.MARKER),
        pictures.jpeg_segment(0xE0, b"JFIF\0" + bytes(9) + pictures.MARKER),
    )


def loaded_png() -> bytes:
    """A PNG with a text in every place it has for one, packed and plain."""
    packed = zlib.compress(pictures.MARKER)
    chunks = [
        pictures.png_chunk(b"tEXt", b"Comment\0" + pictures.MARKER),
        pictures.png_chunk(b"zTXt", b"Comment\0\0" + packed),
        pictures.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + pictures.MARKER),
        pictures.png_chunk(b"eXIf", pictures.exif()),
        pictures.png_chunk(b"vpAg", pictures.MARKER),
    ]
    return pictures.with_png_chunk(pictures.png(), b"".join(chunks)) + pictures.MARKER


def loaded_webp() -> bytes:
    """A WebP with a text in every place it has for one."""
    still = pictures.webp()[12:]
    return pictures.extended_webp(
        (96, 64),
        0x20 | 0x08 | 0x04,
        pictures.riff_chunk(b"ICCP", pictures.MARKER),
        still,
        pictures.riff_chunk(b"EXIF", pictures.exif()),
        pictures.riff_chunk(b"XMP ", pictures.MARKER),
        pictures.riff_chunk(b"EVIL", pictures.MARKER),
    )


@pytest.mark.parametrize(
    ("loaded", "plain"),
    [
        (loaded_jpeg, pictures.jpeg),
        (loaded_png, pictures.png),
        (loaded_webp, pictures.webp),
    ],
)
def test_a_loaded_file_gives_what_the_plain_one_gives(
    loaded: Callable[[], bytes], plain: Callable[[], bytes]
) -> None:
    """G 115 and G 118."""
    data = loaded()

    clean = DOOR.clean(data)

    assert pictures.MARKER in data
    assert clean == DOOR.clean(plain())
    assert b"script" not in clean.data
    assert b"<?php" not in clean.data
    assert pictures.GPS_MARKER not in clean.data


def test_a_cleaned_jpeg_has_no_segments_but_those_that_draw() -> None:
    """G 118."""
    image = opened(DOOR.clean(loaded_jpeg()))

    assert [name for name, _ in image.applist] == ["APP0"]  # type: ignore[attr-defined]  # a JPEG's
    assert "comment" not in image.info
    assert not image.getexif()


def test_a_cleaned_png_has_no_chunks_but_those_that_draw() -> None:
    """G 118."""
    assert png_kinds(DOOR.clean(loaded_png()).data) == {b"IHDR", b"IDAT", b"IEND"}


def test_a_cleaned_webp_has_no_chunks_but_those_that_draw() -> None:
    """G 118."""
    assert webp_kinds(DOOR.clean(loaded_webp()).data) == [b"VP8 "]


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("heavy", "plain"),
    [
        (pictures.text_bomb_png(b"zTXt"), pictures.png),
        (pictures.text_bomb_png(b"iTXt"), pictures.png),
        (
            pictures.with_png_chunk(
                pictures.png(),
                pictures.png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(10 * MEGABYTE))),
            ),
            pictures.png,
        ),
        (
            pictures.with_png_chunk(
                pictures.png(),
                pictures.png_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b"x" * 1_800_000),
            ),
            pictures.png,
        ),
        (
            pictures.with_png_chunk(
                pictures.png(), pictures.png_chunk(b"eXIf", b"MM\0*" + b"\xff" * 2 * MEGABYTE)
            ),
            pictures.png,
        ),
        (
            pictures.with_jpeg_segment(
                pictures.jpeg(),
                *(
                    pictures.jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 60)) + bytes(65_000))
                    for n in range(1, 61)
                ),
            ),
            pictures.jpeg,
        ),
        (
            pictures.with_jpeg_segment(
                pictures.jpeg(),
                *[pictures.jpeg_segment(0xE1, b"Exif\0\0" + b"MM\0*\0\0\0\x08" * 8000)] * 50,
            ),
            pictures.jpeg,
        ),
        (
            pictures.extended_webp(
                (96, 64),
                0x20,
                pictures.riff_chunk(b"ICCP", bytes(4 * MEGABYTE)),
                pictures.webp()[12:],
            ),
            pictures.webp,
        ),
    ],
    ids=[
        "PNG text bomb (zTXt)",
        "PNG text bomb (iTXt)",
        "PNG, 10 MB of profile",
        "PNG, 1.8 MB of XMP",
        "PNG, 2 MB of EXIF",
        "JPEG, 4 MB of profile",
        "JPEG, 3 MB of EXIF",
        "WebP, 4 MB of profile",
    ],
)
def test_heavy_metadata_is_left_behind_unread(heavy: bytes, plain: Callable[[], bytes]) -> None:
    """G 113."""
    assert DOOR.clean(heavy) == DOOR.clean(plain())


# --- Upright -----------------------------------------------------------------------------------


@every_family
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(family: str, orientation: int) -> None:
    """G 118: as EXIF says, and as Pillow's own exif_transpose does."""
    data = pictures.with_exif(family, pictures.quarters(), orientation)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

    clean = DOOR.clean(data)

    image = opened(clean)
    assert image.size == ((48, 32) if orientation < 5 else (32, 48))
    assert difference(image, expected) < 6
    assert not image.getexif()
    assert pictures.GPS_MARKER in data
    assert pictures.GPS_MARKER not in clean.data


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"MM",
        b"MM\0*\0\0\0\x08",
        b"MM\0*\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" + bytes(100),
        pictures.exif(0),
        pictures.exif(9),
        pictures.exif(60_000),
        b"II" + pictures.exif(6)[2:],
    ],
)
def test_exif_that_cannot_be_read_turns_nothing(exif: bytes) -> None:
    data = pictures.with_jpeg_segment(
        pictures.jpeg(), pictures.jpeg_segment(0xE1, b"Exif\0\0" + exif)
    )

    assert DOOR.clean(data) == DOOR.clean(pictures.jpeg())


# --- Colours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "mode"),
    [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)
def test_an_embedded_profile_is_converted_to_srgb(family: str, mode: str) -> None:
    red = Image.new(mode, (64, 64), "red")
    options = {"lossless": True} if family == "WEBP" else {}
    profile = pictures.swapped_profile()

    clean = DOOR.clean(pictures.encoded(red, family, icc_profile=profile, **options))

    image = opened(clean)
    assert difference(image, Image.new("RGB", (64, 64), "lime")) < 4
    assert "icc_profile" not in image.info


@pytest.mark.parametrize(("family", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "LA")])
def test_a_grey_profile_is_converted_and_the_picture_stays_grey(family: str, mode: str) -> None:
    dark = Image.new(mode, (32, 32), 64 if mode == "L" else (64, 128))
    profile = pictures.linear_grey_profile()

    image = opened(DOOR.clean(pictures.encoded(dark, family, icc_profile=profile)))

    assert image.mode == mode
    assert image.getpixel((9, 9)) == (137 if mode == "L" else (137, 128))


@every_family
@pytest.mark.parametrize(
    "profile",
    [b"no profile at all", pictures.swapped_profile()[:300], pictures.linear_grey_profile()],
    ids=["rubbish", "cut short", "of another colour space"],
)
def test_a_profile_that_does_not_fit_is_ignored(family: str, profile: bytes) -> None:
    data = pictures.encoded(pictures.photo(), family, icc_profile=profile)

    assert DOOR.clean(data) == DOOR.clean(pictures.encoded(pictures.photo(), family))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    data = pictures.encoded(pictures.quarters().convert("CMYK"), "JPEG", quality=95)

    image = opened(DOOR.clean(data))

    assert image.mode == "RGB"
    assert difference(image, pictures.quarters()) < 16


def test_a_ycck_jpeg_becomes_rgb() -> None:
    cmyk = pictures.encoded(pictures.quarters().convert("CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"Adobe")
    data = cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :]  # now "the first three are YCC"
    expected = Image.open(io.BytesIO(data)).convert("RGB")

    assert difference(opened(DOOR.clean(data)), expected) < 16
    assert difference(expected, pictures.quarters()) > 50


def test_a_cmyk_jpeg_with_a_profile_that_does_not_fit_becomes_rgb() -> None:
    image = pictures.quarters().convert("CMYK")
    data = pictures.encoded(image, "JPEG", icc_profile=pictures.swapped_profile())

    assert opened(DOOR.clean(data)).mode == "RGB"


def test_a_grey_jpeg_stays_grey() -> None:
    data = pictures.encoded(pictures.photo().convert("L"), "JPEG")

    assert opened(DOOR.clean(data)).mode == "L"


def palette_png(transparency: bytes | int | None = None) -> bytes:
    image = pictures.quarters().quantize(4)
    options = {} if transparency is None else {"transparency": transparency}
    return pictures.encoded(image, "PNG", **options)


def test_a_palette_becomes_rgb() -> None:
    image = opened(DOOR.clean(palette_png()))

    assert image.mode == "RGB"
    assert difference(image, pictures.quarters()) == 0


@pytest.mark.parametrize("transparency", [2, bytes((255, 255, 0, 128))])
def test_a_palette_with_transparency_becomes_rgba(transparency: bytes | int) -> None:
    data = palette_png(transparency)
    expected = Image.open(io.BytesIO(data)).convert("RGBA")

    image = opened(DOOR.clean(data))

    assert image.mode == "RGBA"
    assert image.tobytes() == expected.tobytes()


def row(*values: int, width: int = 1) -> bytes:
    """One row of a PNG: its filter byte and values of so many bytes."""
    return b"\0" + b"".join(value.to_bytes(width) for value in values)


def clear_colour(*values: int) -> bytes:
    return pictures.png_chunk(b"tRNS", b"".join(value.to_bytes(2) for value in values))


@pytest.mark.parametrize(
    ("data", "mode", "pixels"),
    [
        (pictures.png_file((8, 1), 1, 0, row(0b1010_0000)), "1", (255, 0, 255, 0, 0, 0, 0, 0)),
        (
            pictures.png_file((2, 1), 1, 0, row(0b1000_0000), clear_colour(1)),
            "LA",
            ((255, 0), (0, 255)),
        ),
        (pictures.png_file((4, 1), 2, 0, row(0b0001_1011)), "L", (0, 85, 170, 255)),
        (
            pictures.png_file((4, 1), 2, 0, row(0b0001_1011), clear_colour(2)),
            "LA",
            ((0, 255), (85, 255), (170, 0), (255, 255)),
        ),
        (
            pictures.png_file((2, 1), 4, 0, row(0x5A), clear_colour(5)),
            "LA",
            ((85, 0), (170, 255)),
        ),
        (
            pictures.png_file((2, 1), 8, 0, row(9, 200), clear_colour(200)),
            "LA",
            ((9, 255), (200, 0)),
        ),
        (
            pictures.png_file((4, 1), 16, 0, row(0, 255, 256, 65_535, width=2)),
            "L",
            (0, 0, 1, 255),
        ),
        (
            pictures.png_file((2, 1), 16, 0, row(513, 514, width=2), clear_colour(513)),
            "LA",
            ((2, 0), (2, 255)),
        ),
        (
            pictures.png_file((2, 1), 8, 2, row(1, 2, 3, 4, 5, 6), clear_colour(1, 2, 3)),
            "RGBA",
            ((1, 2, 3, 0), (4, 5, 6, 255)),
        ),
        (
            pictures.png_file(
                (2, 1), 16, 2, row(256, 512, 768, 0, 0, 9, width=2), clear_colour(256, 512, 768)
            ),
            "RGBA",
            ((1, 2, 3, 0), (0, 0, 0, 255)),
        ),
        (pictures.png_file((2, 1), 8, 4, row(9, 128, 200, 0)), "LA", ((9, 128), (200, 0))),
        (
            pictures.png_file((1, 1), 16, 4, row(0x0908, 0x8001, width=2)),
            "RGBA",
            ((9, 9, 9, 128),),
        ),
        (
            pictures.png_file((1, 1), 16, 6, row(256, 512, 768, 0x8000, width=2)),
            "RGBA",
            ((1, 2, 3, 128),),
        ),
    ],
)
def test_every_kind_of_png_keeps_its_colours_and_alpha(
    data: bytes, mode: str, pixels: tuple[object, ...]
) -> None:
    image = opened(DOOR.clean(data))

    assert image.mode == mode
    assert tuple(image.get_flattened_data()) == pixels


@pytest.mark.parametrize("family", ["PNG", "WEBP"])
def test_alpha_is_kept(family: str) -> None:
    translucent = pictures.photo(mode="RGBA")

    image = opened(DOOR.clean(pictures.encoded(translucent, family)))

    assert image.mode == "RGBA"
    assert image.getchannel("A").tobytes() == translucent.getchannel("A").tobytes()


# --- About as fine, about as large -------------------------------------------------------------


def test_a_png_keeps_every_pixel() -> None:
    assert difference(opened(DOOR.clean(pictures.png())), pictures.photo()) == 0


def test_a_lossless_webp_keeps_every_pixel() -> None:
    clean = DOOR.clean(pictures.webp(lossless=True))

    assert difference(opened(clean), pictures.photo()) == 0
    assert webp_kinds(clean.data) == [b"VP8L"]


def test_a_lossless_first_frame_stays_lossless() -> None:
    frames = [pictures.photo(), pictures.quarters((96, 64))]
    data = pictures.encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True
    )

    assert difference(opened(DOOR.clean(data)), frames[0]) == 0


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [20, 50, 75, 90, 98])
def test_a_jpeg_photo_looks_the_same_and_grows_little(quality: int, subsampling: str) -> None:
    data = pictures.jpeg((640, 480), quality=quality, subsampling=subsampling)

    clean = DOOR.clean(data)

    assert len(clean.data) < 1.2 * len(data)
    assert seen_difference(opened(clean), Image.open(io.BytesIO(data))) < 3.5


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 98])
def test_a_webp_photo_looks_the_same_and_grows_less_than_twofold(quality: int) -> None:
    data = pictures.webp((640, 480), quality=quality)

    clean = DOOR.clean(data)

    assert len(clean.data) < 2 * len(data)
    assert seen_difference(opened(clean), Image.open(io.BytesIO(data))) < 3.5


# --- Smaller pictures --------------------------------------------------------------------------


@every_family
def test_a_derived_picture_is_a_webp_of_the_asked_width(family: str) -> None:
    original = DOOR.clean(FAMILIES[family]((640, 481)))

    derived = DOOR.derive(original.data, 160)

    assert derived.content_type == "image/webp"
    assert (derived.width, derived.height) == (160, 120)
    expected = pictures.photo((640, 481)).resize((160, 120), Image.Resampling.LANCZOS)
    assert difference(opened(derived), expected) < 8


@every_family
@pytest.mark.parametrize("width", [96, 97, 1280])
def test_a_picture_is_never_made_larger(family: str, width: int) -> None:
    derived = DOOR.derive(DOOR.clean(FAMILIES[family]()).data, width)

    assert derived.content_type == "image/webp"
    assert (derived.width, derived.height) == (96, 64)


def test_a_derived_picture_is_at_least_one_pixel_high() -> None:
    line = pictures.encoded(Image.new("RGB", (4000, 1), "teal"), "PNG")

    assert opened(DOOR.derive(line, 160)).size == (160, 1)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_derived_picture_keeps_alpha(mode: str) -> None:
    left_half = Image.new("L", (320, 200), 0)
    left_half.paste(255, (0, 0, 160, 200))
    image = Image.new(mode, (320, 200), "white")
    image.putalpha(left_half)

    alpha = opened(DOOR.derive(pictures.encoded(image, "PNG"), 160)).getchannel("A")

    assert (alpha.getpixel((20, 50)), alpha.getpixel((140, 50))) == (255, 0)


@pytest.mark.parametrize("width", [16, 640])
@pytest.mark.parametrize("mode", ["1", "L"])
def test_a_grey_picture_can_be_derived_from(mode: str, width: int) -> None:
    png = pictures.encoded(pictures.quarters().convert(mode), "PNG")

    assert opened(DOOR.derive(png, width)).mode == "RGB"


def test_a_one_bit_picture_is_smoothed_when_made_smaller() -> None:
    stripes = pictures.png_file((64, 8), 1, 0, (b"\0" + b"\xaa" * 8) * 8)

    middle = opened(DOOR.derive(stripes, 16)).convert("L").getpixel((8, 1))

    assert 100 < middle < 156  # type: ignore[operator]  # a grey


def test_an_original_from_the_days_of_higher_limits_can_be_derived_from() -> None:
    strict = ImageDoor(ImageLimits(max_bytes=10, max_pixels=10, max_side=10))

    assert strict.derive(pictures.png(), 32).width == 32


def test_what_is_no_picture_cannot_be_derived_from() -> None:
    with pytest.raises(UnknownImageType):
        DOOR.derive(pictures.MARKER, 160)
    with pytest.raises(BrokenImage):
        DOOR.derive(pictures.png()[:-20], 160)


def test_a_width_below_one_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="width of 0 pixels"):
        DOOR.derive(pictures.png(), 0)


# --- Slots -------------------------------------------------------------------------------------


def test_a_picture_is_refused_when_every_slot_stays_taken() -> None:
    door = ImageDoor(slots=2, wait_seconds=0.01)

    with door._slot(), door._slot():
        with pytest.raises(DecoderBusy, match="try again"):
            door.clean(pictures.png())
        with pytest.raises(DecoderBusy):
            door.derive(pictures.png(), 32)

    assert door.clean(pictures.png()).width == 96


def test_rubbish_is_refused_at_once_even_when_every_slot_is_taken() -> None:
    door = ImageDoor(slots=1, wait_seconds=60)

    with door._slot():
        for data in (b"", pictures.MARKER, pictures.png()[:-1], pictures.one_bit_png(13_000)):
            with pytest.raises(ImageRefused) as refusal:
                door.clean(data)
            assert not isinstance(refusal.value, DecoderBusy)


def test_a_broken_picture_gives_its_slot_back() -> None:
    door = ImageDoor(slots=1, wait_seconds=0.01)

    for _ in range(3):
        with pytest.raises(BrokenImage):
            door.clean(pictures.png_file((4, 4), 8, 2, b""))

    assert door.clean(pictures.png()).width == 96


def test_no_more_pictures_are_decoded_at_once_than_there_are_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door, counting = ImageDoor(slots=2), threading.Lock()
    inside, most, ready = 0, 0, threading.Barrier(8)
    save = Image.Image.save

    def counted_save(self: Image.Image, *args: object, **options: object) -> None:
        nonlocal inside, most
        with counting:
            inside += 1
            most = max(most, inside)
        save(self, *args, **options)  # type: ignore[arg-type]  # passed through
        with counting:
            inside -= 1

    def clean() -> None:
        ready.wait()
        door.clean(data)

    data = pictures.webp((640, 480))
    monkeypatch.setattr(Image.Image, "save", counted_save)
    threads = [threading.Thread(target=clean) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 2


# --- Whatever comes ----------------------------------------------------------------------------

SMALL_DOOR = ImageDoor(ImageLimits(max_pixels=100_000))  # so that a changed size stays cheap
MANY = settings(max_examples=400, deadline=None, derandomize=True)
SEEDS = [
    *(maker((24, 16)) for maker in FAMILIES.values()),
    pictures.jpeg((24, 16), progressive=True),
    pictures.encoded(pictures.photo((24, 16)).convert("CMYK"), "JPEG"),
    pictures.webp((24, 16), lossless=True),
    pictures.animated("WEBP", 3, (24, 16)),
    pictures.animated("PNG", 3, (24, 16)),
    palette_png(2),
    loaded_jpeg(),
    loaded_png(),
    loaded_webp(),
    *(pictures.with_exif(family, pictures.quarters(), 6) for family in FAMILIES),
    pictures.encoded(pictures.quarters(), "PNG", icc_profile=pictures.swapped_profile()),
]


def assert_clean_or_refused(data: bytes) -> None:
    try:
        clean = SMALL_DOOR.clean(data)
    except ImageRefused:
        return
    opened(clean)
    assert pictures.MARKER not in clean.data
    assert pictures.GPS_MARKER not in clean.data
    opened(SMALL_DOOR.derive(clean.data, 10))


@MANY
@given(
    magic=st.sampled_from([b"", *(seed[:length] for seed in SEEDS for length in (3, 12, 33))]),
    rest=st.binary(max_size=300),
)
def test_random_bytes_are_cleaned_or_refused(magic: bytes, rest: bytes) -> None:
    assert_clean_or_refused(magic + rest)


@MANY
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 3), st.binary(max_size=4)),
        min_size=1,
        max_size=6,
    ),
)
def test_a_picture_changed_at_random_is_cleaned_or_refused(
    seed: bytes, changes: list[tuple[float, int, bytes]]
) -> None:
    data = seed
    for place, removed, put in changes:
        at = int(place * len(data))
        data = data[:at] + put + data[at + removed :]

    assert_clean_or_refused(data)


@MANY
@given(
    size=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    depth=st.sampled_from([1, 2, 4, 8, 16, 3]),
    colour_type=st.sampled_from([0, 2, 3, 4, 6, 1]),
    rows=st.binary(max_size=400),
    interlace=st.integers(0, 2),
    kind=st.sampled_from([b"tRNS", b"PLTE", b"iCCP", b"eXIf", b"acTL", b"fcTL"]),
    body=st.binary(max_size=40),
)
def test_a_png_of_right_checksums_and_wrong_content_is_cleaned_or_refused(
    size: tuple[int, int],
    depth: int,
    colour_type: int,
    rows: bytes,
    interlace: int,
    kind: bytes,
    body: bytes,
) -> None:
    chunk = pictures.png_chunk(kind, body)
    data = pictures.png_file(size, depth, colour_type, rows, chunk, interlace=interlace)

    assert_clean_or_refused(data)
