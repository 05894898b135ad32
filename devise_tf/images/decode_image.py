"""From the bytes of an image to pixels and crops, in TensorFlow's core operations."""

import tensorflow as tf

from devise_tf.photo_bytes import MAX_PIXELS, MAX_SIDE

# 16 MB of data in the blocks that encoders write, and what may come before the first frame.
_MAX_GIF_BLOCKS = 65_536
_MAX_GIF_EXTENSIONS = 64

_GRAY_PALETTE = bytes(byte for gray in range(256) for byte in (gray, gray, gray, 0))


def decode_image(encoded: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decodes one JPEG, PNG, GIF or BMP image into RGB; an image that is too large is refused before it is decoded.

    Height and width are read from the header first. Gray images are repeated over three channels, 16-bit PNGs are
    scaled to 8 bits, CMYK JPEGs are converted and transparency is dropped, not blended. Of an animated GIF the result
    is the first frame, in the size of that frame. An orientation tag is not applied. `needs_pillow` says which files
    should not be decoded here for these reasons. Only TensorFlow's core ops are used, so that the function can be part
    of an exported graph.

    Args:
        encoded: String scalar tensor. The bytes of the image.
        max_pixels: Integer. Largest height times width. No side may be longer than 16,384 pixels in any case.

    Returns:
        uint8 tensor `[height, width, 3]`.

    Raises:
        tf.errors.InvalidArgumentError: Not one of the four formats, too large, or damaged.
    """
    encoded = tf.convert_to_tensor(encoded, tf.string)

    def decode(encoded, size):
        size = tf.cast(size, tf.int64)
        fits = (tf.reduce_min(size) >= 1) & (tf.reduce_max(size) <= MAX_SIDE) & (tf.reduce_prod(size) <= max_pixels)
        message = f"sides must be 1 to {MAX_SIDE} pixels, with at most {max_pixels} pixels in all; height and width:"
        with tf.control_dependencies([_require(fits, message, size)]):
            encoded = tf.identity(encoded)
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)

    def decode_others():
        is_png, is_gif, is_bmp = (_starts_with(encoded, magic) for magic in (b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"))
        known = is_png | is_gif | is_bmp
        with tf.control_dependencies([_require(known, "not a JPEG, PNG, GIF or BMP image")]):
            cut, size = tf.case(
                [(is_gif, lambda: _first_gif_frame(encoded)), (is_bmp, lambda: (encoded, _bmp_size(encoded)))],
                default=lambda: (encoded, _png_size(encoded)),
            )
        return decode(cut, size)

    # A condition of its own for the usual kind: each costs as much as half of decoding a small image.
    image = tf.cond(
        _starts_with(encoded, b"\xff\xd8\xff"),
        lambda: decode(encoded, tf.image.extract_jpeg_shape(encoded)[:2]),
        decode_others,
    )
    return tf.ensure_shape(image, [None, None, 3])


def resize_and_crop(image: tf.Tensor, image_size: int, resize_size: int) -> tf.Tensor:
    """Resizes an image's shorter side and cuts out its center, as for evaluation.

    Args:
        image: uint8 or float32 tensor `[height, width, 3]`, of any size.
        image_size: Integer >= 1. Side of the square that is cut out.
        resize_size: Integer >= `image_size`. Shorter side after resizing (bilinear, antialiased).

    Returns:
        float32 tensor `[image_size, image_size, 3]`, in the range of the input.
    """
    return _crop_of_resized(image, image_size, resize_size, lambda room: room // 2)


def augment(image: tf.Tensor, image_size: int, resize_size: int, seed: tf.Tensor) -> tf.Tensor:
    """Resizes an image's shorter side, cuts a square at a random position and flips it left to right half of the time.

    Args:
        image: uint8 or float32 tensor `[height, width, 3]`, of any size.
        image_size: Integer >= 1. Side of the square that is cut out.
        resize_size: Integer >= `image_size`. Shorter side after resizing (bilinear, antialiased). The difference of the
            two is how far the square can move.
        seed: int32 tensor `[2]`. The result is a pure function of the image and the seed.

    Returns:
        float32 tensor `[image_size, image_size, 3]`, in the range of the input.
    """
    # The one op behind `tf.random.stateless_uniform`: for a small image the five around it take longer than decoding.
    position = tf.raw_ops.StatelessRandomUniform(shape=[3], seed=seed)

    def offset(room):
        return tf.cast(position[:2] * tf.cast(room + 1, tf.float32), tf.int32)

    crop = _crop_of_resized(image, image_size, resize_size, offset)
    return tf.raw_ops.Reverse(tensor=crop, dims=tf.stack([False, position[2] < 0.5, False]))


def check_sizes(image_size: int, resize_size: int) -> None:
    """Raises a `ValueError` if crops of that size cannot be cut."""
    if not 1 <= image_size <= resize_size:
        raise ValueError(
            "`image_size` must be at least 1 and at most `resize_size`. "
            f"Received: image_size={image_size}, resize_size={resize_size}"
        )


def _crop_of_resized(image, image_size, resize_size, offset):
    """Cuts `image_size` squared at `offset(room)` out of the resized image, without making the whole of it."""
    check_sizes(image_size, resize_size)
    size = tf.shape(image)[:2]
    shorter = tf.reduce_min(size)

    def cut():
        corner = tf.concat([offset(size - image_size), [0]], 0)
        return tf.cast(tf.slice(image, corner, [image_size, image_size, 3]), tf.float32)

    def resize_and_cut():
        # The sides in proportion, rounded; in int64, as the product may not fit 32 bits.
        long_size, long_shorter = tf.cast(size, tf.int64), tf.cast(shorter, tf.int64)
        resized = tf.cast((2 * long_size * resize_size + long_shorter) // (2 * long_shorter), tf.int32)
        # What `tf.image.resize(antialias=True)` runs on the whole image, moved by the corner of the crop.
        return tf.raw_ops.ScaleAndTranslate(
            images=image[tf.newaxis],
            size=[image_size, image_size],
            scale=tf.cast(resized, tf.float32) / tf.cast(size, tf.float32),
            translation=-tf.cast(offset(resized - image_size), tf.float32),
            kernel_type="triangle",
            antialias=True,
        )[0]

    crop = tf.cond(tf.equal(shorter, resize_size), cut, resize_and_cut)
    return tf.ensure_shape(crop, [image_size, image_size, 3])


def _starts_with(encoded, magic):
    return tf.equal(tf.strings.substr(encoded, 0, len(magic)), magic)


def _require(condition, message, *values):
    """`tf.debugging.Assert` without the condition that it builds around itself in a graph."""
    return tf.raw_ops.Assert(condition=condition, data=[message, *values])


def _head(encoded, length):
    """Returns the first `length` bytes, filled up with zeros."""
    return tf.strings.substr(tf.strings.substr(encoded, 0, length) + b"\0" * length, 0, length)


def _integers(encoded, position, count, dtype, little_endian=True):
    """Reads `count` integers of a header (its first 64 bytes) as int64."""
    field = tf.strings.substr(_head(encoded, 64), position, count * dtype.size)
    return tf.cast(tf.ensure_shape(tf.io.decode_raw(field, dtype, little_endian), [count]), tf.int64)


def _png_size(encoded):
    width, height = tf.unstack(_integers(encoded, 16, 2, tf.int32, little_endian=False))
    return tf.stack([height, width])


def _bmp_size(encoded):
    """Returns a BMP's height and width; refuses the kinds that TensorFlow decodes wrongly or not at all."""
    info_size, width, height = tf.unstack(_integers(encoded, 14, 3, tf.int32))
    bits, compression = tf.unstack(_integers(encoded, 28, 2, tf.uint16))
    in_file = tf.cast(tf.strings.length(encoded), tf.int64) >= 14 + info_size
    palette_at = tf.where(in_file & (info_size >= 40), 14 + info_size, 0)
    gray = tf.equal(tf.strings.substr(encoded, palette_at, len(_GRAY_PALETTE)), _GRAY_PALETTE)
    # TensorFlow takes the palette of an 8-bit BMP for gray, whatever it holds, and does not know compression; 32-bit
    # files often carry compression 3, which only names the order of their channels.
    plain = tf.equal(compression, 0) & (tf.equal(bits, 24) | tf.equal(bits, 32) | (tf.equal(bits, 8) & gray))
    plain |= tf.equal(compression, 3) & tf.equal(bits, 32)
    message = "a BMP image must be uncompressed, 24-bit, 32-bit or 8-bit gray; bits and compression:"
    with tf.control_dependencies([_require(plain & (info_size >= 40), message, bits, compression)]):
        return tf.stack([tf.abs(height), width])


def _first_gif_frame(encoded):
    """Returns a GIF cut off after its first frame, and that frame's height and width.

    The decoder unpacks every frame, each of another size, even if only the first is wanted.
    """
    # Ends in zeros: a walk that leaves the file finds empty blocks.
    data = tf.cast(tf.io.decode_raw(encoded + b"\0" * 32, tf.uint8), tf.int32)
    end = tf.size(data) - 16

    def skip_blocks(position):
        """Steps over a chain of data blocks, each a length byte and so many bytes, up to the empty one."""
        at, blocks = tf.while_loop(
            lambda at, blocks: (data[at] > 0) & (blocks < _MAX_GIF_BLOCKS),
            lambda at, blocks: (tf.minimum(at + data[at] + 1, end), blocks + 1),
            (tf.minimum(position, end), 0),
        )
        # Blocks of one byte would cost far more time than a picture of their size.
        with tf.control_dependencies([_require(blocks < _MAX_GIF_BLOCKS, "a GIF image of too many blocks")]):
            return at + 1

    def colors(flags):
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    frame, _ = tf.while_loop(
        lambda at, extensions: tf.equal(data[at], 0x21) & (extensions < _MAX_GIF_EXTENSIONS),
        lambda at, extensions: (tf.minimum(skip_blocks(at + 2), end), extensions + 1),
        (tf.minimum(13 + colors(data[10]), end), 0),
    )
    with tf.control_dependencies([_require(tf.equal(data[frame], 0x2C), "a GIF image without a frame")]):
        width, height = (data[frame + at] + 256 * data[frame + at + 1] for at in (5, 7))
    cut = skip_blocks(frame + 10 + colors(data[frame + 9]) + 1)
    return tf.strings.substr(encoded, 0, cut) + b";", tf.cast(tf.stack([height, width]), tf.int64)
