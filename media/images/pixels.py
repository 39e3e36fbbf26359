"""From a source to pixels: one frame, sRGB, upright."""

import io
import logging

from PIL import Image, ImageCms

from media.images.limits import BrokenImage
from media.images.sources import Source

logger = logging.getLogger(__name__)

UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _open(source: Source) -> Image.Image:
    image = Image.open(io.BytesIO(source.data), formats=(source.family.upper(),))
    if image.size != (source.width, source.height):  # our limits were checked on another size
        raise BrokenImage.damaged(source.family)
    return image


def decode(source: Source, opened: Image.Image | None = None) -> Image.Image:
    """Return the pixels as 1, L, LA, RGB or RGBA."""
    image = opened or _open(source)
    image.load()
    if source.family == "WebP":
        image = image.copy()  # lets go of the decoder, which holds two more canvases
    image = _to_srgb(_with_plain_alpha(image, source.png_depth), source.icc)
    image.info.clear()  # encoders write comments and profiles they find here
    turn = UPRIGHT.get(source.orientation)
    return image if turn is None else image.transpose(turn)


def decode_smaller(source: Source, width: int) -> Image.Image:
    """Return the pixels at most `width` wide, in their proportions and at least one high."""
    image = _open(source)
    if source.width <= width:
        return decode(source, image)
    height = max(1, round(source.height * width / source.width))
    # libjpeg can decode to a half, quarter or eighth, in as much less memory. It keeps twice
    # the pixels we need, so that the last step is still done by the better filter.
    image.draft(None, (2 * width, 2 * height))
    pixels = decode(source, image)
    if pixels.mode == "1":
        pixels = pixels.convert("L")
    return pixels.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _with_plain_alpha(image: Image.Image, png_depth: int) -> Image.Image:
    """Replace palettes, sixteen-bit greys and "this colour is transparent" by plain channels."""
    if image.mode == "I;16":
        return _to_eight_bits(image)
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    clear = image.info.get("transparency")
    if clear is None:
        return image
    # PNG states the colour in the file's own depth, Pillow the pixels in eight bits.
    if png_depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    elif png_depth in (2, 4):
        image.info["transparency"] = clear * 255 // (2**png_depth - 1)
    return image.convert("RGBA" if image.mode == "RGB" else "LA")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale a grey of sixteen bits; Pillow's own convert() cuts every value off at 255."""
    deep = image.convert("I")
    grey = deep.point([value >> 8 for value in range(65_536)], "L")
    clear = image.info.get("transparency")
    if clear is None:
        return grey
    alpha = deep.point([0 if value == clear else 255 for value in range(65_536)], "L")
    return Image.merge("LA", (grey, alpha))


def _to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert by the embedded profile; without one, or with a broken one, keep the numbers."""
    if icc and image.mode != "1":
        try:
            image = _apply_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)))
        except (ImageCms.PyCMSError, OSError):
            logger.info("An image came with a colour profile that does not fit it.")
    return image.convert("RGB") if image.mode == "CMYK" else image


def _apply_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    if (profile.profile.profile_description or "").startswith("sRGB"):
        return image
    srgb = ImageCms.createProfile("sRGB")
    if image.mode in ("RGB", "RGBA"):
        ImageCms.profileToProfile(image, profile, srgb, inPlace=True)
        return image
    colour = image.getchannel("L") if image.mode == "LA" else image
    converted = ImageCms.profileToProfile(colour, profile, srgb, outputMode="RGB")
    if converted is None or image.mode == "CMYK":
        return converted or image
    grey = converted.convert("L")
    return Image.merge("LA", (grey, image.getchannel("A"))) if image.mode == "LA" else grey
