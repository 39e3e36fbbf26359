"""Which type a file is, going by its content, and the reader of that type."""

from media.images.jpegs import read_jpeg
from media.images.limits import BrokenImage, ImageLimits, UnknownImageType
from media.images.pngs import PNG_MAGIC, read_png
from media.images.sources import Source
from media.images.webps import read_webp


def read_source(data: bytes, limits: ImageLimits) -> Source:
    """Give what of a file draws its first picture. Raises an ImageRefused; decodes nothing."""
    limits.check_bytes(data)
    if not data:
        raise BrokenImage("The file is empty; a JPEG, PNG or WebP is needed.")
    if data.startswith(b"\xff\xd8\xff"):
        return read_jpeg(data, limits)
    if data.startswith(PNG_MAGIC):
        return read_png(data, limits)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return read_webp(data, limits)
    raise UnknownImageType(f"This is {_describe(data)}; a JPEG, PNG or WebP is needed.")


OTHER_TYPES: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a cursor (CUR)"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"DDS ", "a DDS texture"),
    (b"PK\3\4", "a ZIP archive"),
    (b"<svg", "an SVG"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
)


def _describe(data: bytes) -> str:
    """Name a type that is not ours, with its article, for the message."""
    start = data[:1024]
    if start[4:8] == b"ftyp":
        return _describe_brands(start[8 : max(16, int.from_bytes(start[:4]))])
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, name in OTHER_TYPES:
        if start.startswith(magic) or text.startswith(magic):
            return name
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "an SVG"
    return "not an image of a type we know"


def _describe_brands(brands: bytes) -> str:
    """Name a file of the MP4 family by its brands: photos and films share one container."""
    if b"avif" in brands or b"avis" in brands:
        return "an AVIF"
    if any(brand in brands for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")):
        return "a HEIC photo"
    if b"mif1" in brands or b"msf1" in brands:
        return "a HEIF photo"
    return "a film or another MP4 file"
