"""Pictures for tests, drawn by code: good ones, and the ones an attacker would send.

Everything is deterministic and given as the bytes of a file.
"""

import io
import random
import struct
import zlib
from functools import cache

from PIL import Image, ImageCms

MARKER = b"<script>alert(1)</script><?php system('id'); ?>"
GPS_MARKER = b"48 deg 12 min N of nowhere"

type Size = tuple[int, int]


# --- Good ones ---------------------------------------------------------------------------------


@cache
def photo(size: Size = (96, 64), mode: str = "RGB") -> Image.Image:
    """Draw something like a photo: soft shapes of many colours under a camera's noise."""
    dice = random.Random(size[0] * 65_537 + size[1])
    return Image.merge(mode, [_photo_channel(size, dice) for _ in Image.new(mode, (1, 1)).split()])


def _photo_channel(size: Size, dice: random.Random) -> Image.Image:
    coarse = (max(2, size[0] // 40), max(2, size[1] // 40))
    shapes = Image.frombytes("L", coarse, dice.randbytes(coarse[0] * coarse[1]))
    noise = Image.frombytes("L", size, dice.randbytes(size[0] * size[1]))
    return Image.blend(shapes.resize(size, Image.Resampling.BICUBIC), noise, 0.08)


def quarters(size: Size = (48, 32), mode: str = "RGB") -> Image.Image:
    """Draw red, green, blue and white, from the upper left by rows: shows what was turned."""
    image = Image.new(mode, size, "white")
    width, height = size[0] // 2, size[1] // 2
    image.paste("red", (0, 0, width, height))
    image.paste("lime", (width, 0, size[0], height))
    image.paste("blue", (0, height, width, size[1]))
    return image


def encoded(image: Image.Image, family: str, **options: object) -> bytes:
    """Encode by Pillow; `options` are those of its `save`."""
    out = io.BytesIO()
    image.save(out, family, **options)
    return out.getvalue()


def jpeg(size: Size = (96, 64), **options: object) -> bytes:
    return encoded(photo(size), "JPEG", **options)


def png(size: Size = (96, 64), **options: object) -> bytes:
    return encoded(photo(size), "PNG", **options)


def webp(size: Size = (96, 64), **options: object) -> bytes:
    return encoded(photo(size), "WEBP", **options)


def animated(family: str, frames: int = 3, size: Size = (40, 30)) -> bytes:
    """Encode frames that differ, of which the first is red."""
    colours = ["red", *(f"hsl({number * 37 % 360}, 90%, 40%)" for number in range(1, frames))]
    pictures = [Image.new("RGB", size, colour) for colour in colours]
    return encoded(
        pictures[0], family, save_all=True, append_images=pictures[1:], duration=40, quality=90
    )


def phone_jpeg() -> bytes:
    """A multi-picture JPEG (MPO) as phones write: the first is a photo, the second is blue."""
    second = Image.new("RGB", (96, 64), "blue")
    return encoded(photo(), "MPO", save_all=True, append_images=[second])


# --- Files taken apart and put together --------------------------------------------------------


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(
    size: Size, depth: int, colour_type: int, rows: bytes, *extra: bytes, interlace: int = 0
) -> bytes:
    """Build a PNG by hand; `rows` start with a filter byte each, `extra` chunks precede them."""
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, interlace)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *extra,
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND"),
        )
    )


def with_png_chunk(data: bytes, chunk: bytes) -> bytes:
    """Put a chunk behind the header."""
    return data[:33] + chunk + data[33:]


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def with_jpeg_segment(data: bytes, *segments: bytes) -> bytes:
    """Put segments at the start."""
    return data[:2] + b"".join(segments) + data[2:]


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_file(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extended_webp(size: Size, flags: int, *chunks: bytes) -> bytes:
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    return webp_file(riff_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + sides), *chunks)


def exif(orientation: int = 1, *, order: str = ">") -> bytes:
    """Build EXIF (without its "Exif" label) with an orientation, a text, GPS and a thumbnail."""
    thumbnail = encoded(Image.new("RGB", (16, 16), "red"), "JPEG")
    text = GPS_MARKER + MARKER + b"\0"
    text_at, gps_at = 8 + 2 + 3 * 12 + 4, 8 + 2 + 3 * 12 + 4 + len(text)
    second_at = gps_at + 2 + 12 + 4
    thumbnail_at = second_at + 2 + 2 * 12 + 4

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        short = kind == 3  # stands in the first half of its four bytes
        packed = struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
        return struct.pack(f"{order}HHI", tag, kind, count) + packed

    def directory(*entries: bytes, following: int = 0) -> bytes:
        count = struct.pack(f"{order}H", len(entries))
        return count + b"".join(entries) + struct.pack(f"{order}I", following)

    first = directory(
        entry(0x010E, 2, len(text), text_at),
        entry(0x0112, 3, 1, orientation),
        entry(0x8825, 4, 1, gps_at),
        following=second_at,
    )
    gps = directory(entry(0x001D, 2, len(GPS_MARKER), text_at))
    second = directory(entry(0x0201, 4, 1, thumbnail_at), entry(0x0202, 4, 1, len(thumbnail)))
    start = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, 8)
    return start + first + text + gps + second + thumbnail


def with_exif(family: str, image: Image.Image, orientation: int) -> bytes:
    """Encode a picture with the EXIF of `exif`, in the place its family has for it."""
    if family == "JPEG":
        data = encoded(image, "JPEG", quality=95, subsampling="4:4:4")
        return with_jpeg_segment(data, jpeg_segment(0xE1, b"Exif\0\0" + exif(orientation)))
    if family == "PNG":
        return with_png_chunk(encoded(image, "PNG"), png_chunk(b"eXIf", exif(orientation)))
    return encoded(image, "WEBP", lossless=True, exif=exif(orientation, order="<"))


# --- Colour profiles ---------------------------------------------------------------------------


def swapped_profile() -> bytes:
    """A profile in which red is what sRGB calls green, and the reverse."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other_name = srgb.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    table_end = 132 + 12 * int.from_bytes(srgb[128:132])
    table = other_name[:table_end].replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ")
    return table.replace(b"????", b"gXYZ") + other_name[table_end:]


def linear_grey_profile() -> bytes:
    """A profile in which a grey's number is its amount of light."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 12)
    header = struct.pack(">I4xI12s", 188, 0x02100000, b"mntrGRAYXYZ ") + bytes(12) + b"acsp"
    header += bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + tags + white + curve


# --- Types that are not ours -------------------------------------------------------------------


def other_types() -> dict[str, bytes]:
    """Files of types that are not ours, by what our message calls them."""
    image = quarters()
    return {
        "a GIF": encoded(image, "GIF"),
        "a TIFF": encoded(image, "TIFF"),
        "a BMP": encoded(image, "BMP"),
        "a Photoshop file": b"8BPS\0\1" + bytes(20),
        "a PostScript file": encoded(image, "EPS"),
        "a JPEG 2000": encoded(image, "JPEG2000"),
        "a JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n",
        "an AVIF": encoded(image, "AVIF"),
        "an icon (ICO)": encoded(image, "ICO"),
        "a DDS texture": encoded(image, "DDS"),
        "a HEIC photo": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "a HEIF photo": b"\0\0\0\x14ftypmif1\0\0\0\0miaf" + bytes(64),
        "a film or another MP4 file": b"\0\0\0\x14ftypisom\0\0\2\0mp41" + bytes(64),
        "a PDF": encoded(image, "PDF"),
        "an SVG": b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="x"><script/></svg>',
        "an HTML page": b"\xef\xbb\xbf \n<!DOCTYPE html><script>alert(1)</script>",
        "a ZIP archive": b"PK\3\4" + bytes(40),
        "not an image of a type we know": encoded(image, "SGI"),
    }


# --- Bombs -------------------------------------------------------------------------------------


def tiny_webp_claiming(width: int, height: int) -> bytes:
    """A whole WebP of one colour and any size (each side up to 16,384) in some thirty bytes."""
    one_pixel = encoded(Image.new("RGB", (1, 1), "teal"), "WEBP", lossless=True)
    alpha_and_version = one_pixel[24] & 0xF0
    bits = (width - 1) | (height - 1) << 14
    size = bits.to_bytes(4, "little")
    return one_pixel[:21] + size[:3] + bytes((size[3] | alpha_and_version,)) + one_pixel[25:]


def one_bit_png(side: int) -> bytes:
    """A black square: 13,000 a side are 169 megapixels in 20 kB."""
    return png_file((side, side), 1, 0, bytes(side * (1 + (side + 7) // 8)))


def jpeg_claiming(width: int, height: int) -> bytes:
    data = jpeg((16, 16))
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def png_claiming(width: int, height: int) -> bytes:
    return png_file((width, height), 8, 2, b"")


def many_framed_webp(frames: int) -> bytes:
    """An animation of one pixel, made by repeating its frame."""
    pixel = riff_chunk(b"VP8L", tiny_webp_claiming(1, 1)[20:])
    frame = riff_chunk(b"ANMF", bytes(16) + pixel)
    return extended_webp((1, 1), 0x02, riff_chunk(b"ANIM", bytes(6)), frame * frames)


def many_scanned_jpeg(scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again: each pass costs time."""
    data = encoded(Image.new("RGB", (64, 64), "teal"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + b"\xff\xd9"


def text_bomb_png(kind: bytes, mebibytes: int = 64) -> bytes:
    """A PNG with a text that inflates a thousandfold, in a zTXt or iTXt chunk."""
    text = zlib.compress(bytes(mebibytes << 20), 9)
    body = b"Comment\0\0" + text if kind == b"zTXt" else b"Comment\0\1\0\0\0" + text
    return with_png_chunk(png(), png_chunk(kind, body))
