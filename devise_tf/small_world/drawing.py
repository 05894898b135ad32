"""Draws species of the small world from their traits; names and texts are unknown here."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from devise_tf.small_world.description import COLORS, HABITATS, Traits

IMAGE_SIZE = 48
_FINE = 2 * IMAGE_SIZE  # outlines are drawn at twice the size, which smooths their edges

_RGB = {
    "red": (205, 35, 35),
    "orange": (235, 130, 25),
    "yellow": (235, 215, 50),
    "green": (50, 150, 45),
    "teal": (35, 175, 165),
    "blue": (45, 75, 205),
    "purple": (125, 45, 155),
    "pink": (240, 145, 180),
    "white": (240, 240, 235),
    "black": (30, 28, 30),
}
_GROUND = {  # two colors, and the waves across and down that mix them
    "marsh": ((95, 115, 60), (55, 75, 50), 1.1, 0.0),
    "desert": ((225, 195, 135), (195, 155, 95), 0.1, 0.45),
    "snow": ((232, 238, 245), (195, 208, 225), 0.1, 0.15),
    "sea": ((60, 120, 170), (25, 80, 130), 0.15, 0.9),
    "forest": ((40, 75, 35), (20, 45, 25), 0.6, 0.5),
    "rock": ((140, 135, 130), (95, 90, 88), 0.5, -0.5),
    "meadow": ((150, 190, 90), (115, 160, 70), 0.8, 0.3),
    "night": ((35, 35, 70), (15, 15, 35), 0.0, 0.1),
}
_RADIUS = {"small": 10.5, "medium": 12.5, "large": 15.0}  # pixels for one unit of the outlines below

_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_X = np.arange(IMAGE_SIZE, dtype=np.float32)[None, :] + 0.5
_Y = np.arange(IMAGE_SIZE, dtype=np.float32)[:, None] + 0.5
_SMOOTH = Image.Resampling.BICUBIC


def draw(traits: Traits, rng: np.random.Generator) -> np.ndarray:
    """Draws one photo of a species.

    Its traits show, among much that does not matter: place, size, rotation,
    mirroring, light, clutter, things in front, noise, now and then a place
    where it does not live.

    Args:
        traits: What to draw.
        rng: Source of chance; the same state gives the same image.

    Returns:
        uint8 array, `[48, 48, 3]`, RGB.
    """
    picture = _ground(traits.habitat if rng.random() < 0.7 else HABITATS[rng.integers(len(HABITATS))], rng)

    angle = rng.uniform(-0.55, 0.55)
    radius = _RADIUS[traits.size] * rng.uniform(0.75, 1.2)
    across, down = (radius * stretch for stretch in rng.uniform(0.92, 1.08, 2))
    across *= 1 if rng.random() < 0.5 else -1
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos * across, -sin * down], [sin * across, cos * down]])
    center = IMAGE_SIZE / 2 + rng.uniform(-7, 7, 2)
    x, y = _X - center[0], _Y - center[1]
    u, v = (cos * x + sin * y) / across, (cos * y - sin * x) / down

    first, second = _shade(traits.color, rng), _shade(traits.second_color, rng)
    dark = _shade("white" if "black" in (traits.color, traits.second_color) else "black", rng)
    limbs_color = tuple((3 * b + a) // 4 for a, b in zip(first, second, strict=True))
    body = _mask([_BODIES[traits.shape]], turn, center)
    picture.paste(limbs_color, mask=_mask(_limbs(traits.limbs, rng), turn, center))
    picture.paste(first, mask=body)
    if traits.pattern != "plain":
        picture.paste(second, mask=ImageChops.multiply(body, _to_mask(_coat(traits.pattern, u, v, rng))))
    if traits.ornament != "none" and rng.random() < 0.85:
        picture.paste(dark, mask=_mask(_ORNAMENTS[traits.ornament], turn, center))
    for _ in range(rng.integers(3)):
        _occlude(picture, center, radius, rng)
    return _photograph(picture, rng)


def _jitter(color: tuple[int, ...], light: float, spread: float, rng: np.random.Generator) -> tuple[int, ...]:
    noise = rng.standard_normal(3)
    return tuple(min(255, max(0, int(c * light + spread * e))) for c, e in zip(color, noise, strict=True))


def _shade(color: str, rng: np.random.Generator) -> tuple[int, ...]:
    return _jitter(_RGB[color], rng.uniform(0.75, 1.15), 20, rng)


def _to_mask(share: np.ndarray) -> Image.Image:
    return Image.fromarray((255 * np.clip(share, 0, 1)).astype(np.uint8))


def _ground(habitat: str, rng: np.random.Generator) -> Image.Image:
    first, second, across, down = _GROUND[habitat]
    clouds = Image.fromarray(rng.standard_normal((7, 7), np.float32)).resize((IMAGE_SIZE, IMAGE_SIZE), _SMOOTH)
    waves = np.sin(_X * across + _Y * (down * rng.uniform(0.8, 1.25)) + rng.uniform(0, 6))
    picture = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), _jitter(first, 1, 12, rng))
    picture.paste(second, mask=_to_mask(0.5 + 0.3 * waves + 0.35 * np.asarray(clouds)))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 9)):
        x, y = rng.uniform(0, IMAGE_SIZE, 2).tolist()
        size = rng.uniform(2, 6)
        color = _shade(COLORS[rng.integers(len(COLORS))], rng)
        if rng.random() < 0.5:
            pen.ellipse((x - size, y - size, x + size, y + size * rng.uniform(0.3, 1)), fill=color)
        else:
            points = rng.uniform(-size, size, (rng.integers(3, 6), 2)) + (x, y)
            pen.polygon(points.ravel().tolist(), fill=color)
    return picture


def _circle(x: float, y: float, r: float, r2: float | None = None) -> np.ndarray:
    return np.stack([x + r * np.cos(_TURN), y + (r2 or r) * np.sin(_TURN)], 1)


def _corners(count: int, r: float, inner: float | None = None) -> np.ndarray:
    angles = np.arange(count) * 2 * np.pi / count - np.pi / 2
    radii = np.where(np.arange(count) % 2, inner, r) if inner else np.full(count, r)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def _crescent() -> np.ndarray:
    outer, inner = np.linspace(0.25, 1.75, 16) * np.pi, np.linspace(1.68, 0.32, 12) * np.pi
    return np.concatenate(
        [
            np.stack([0.2 + 0.95 * np.cos(outer), 0.95 * np.sin(outer)], 1),
            np.stack([0.55 + 0.8 * np.cos(inner), 0.8 * np.sin(inner)], 1),
        ]
    )


def _line(*points: tuple[float, float], width: float) -> tuple[np.ndarray, float]:
    return np.array(points), width


def _area(*points: tuple[float, float]) -> tuple[np.ndarray, float]:
    return np.array(points), 0.0


# Outlines in units of the body, x to the right and y down, the body within about 1 of its center. Each is an array of
# points and the width of a line through them, or 0 for the area within.
_BODIES = {
    "round": _area(*_circle(0, 0, 0.8)),
    "long": _area(*_circle(0, 0, 1.15, 0.5)),
    "triangular": _area((0, -0.95), (0.95, 0.75), (-0.95, 0.75)),
    "square": _area((-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75)),
    "teardrop": _area(*np.stack([0.95 * np.sin(_TURN) * np.sin(_TURN / 2) ** 1.5, -np.cos(_TURN)], 1)),
    "star": _area(*_corners(10, 1.1, 0.5)),
    "crescent": _area(*_crescent()),
    "hexagonal": _area(*_corners(6, 0.9)),
}
_ORNAMENTS = {
    "horns": [_area((s * 0.1, -0.5), (s * 0.75, -1.35), (s * 0.6, -0.4)) for s in (-1, 1)],
    "tail": [_line((-0.6, 0.4), (-1.1, 0.5), (-1.4, 0.1), (-1.3, -0.5), (-1.0, -0.6), width=0.2)],
    "crest": [_area(*_circle(x, -0.85, 0.25)) for x in (-0.4, 0, 0.4)],
    "antennae": [_line((s * 0.15, -0.5), (s * 0.5, -1.3), width=0.1) for s in (-1, 1)]
    + [_area(*_circle(s * 0.5, -1.35, 0.2)) for s in (-1, 1)],
    "beak": [_area((-0.45, -0.4), (-1.45, 0.0), (-0.45, 0.35))],
    "collar": [_area((-0.8, -0.5), (0.8, -0.5), (0.8, -0.22), (-0.8, -0.22))],
}
_PETAL = _circle(0, 0, 0.42)


def _limbs(kind: str, rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    sway, phase = rng.uniform(-1, 1), rng.uniform(0, 2 * math.pi)
    if kind == "legs":
        return [_line((x, 0.2), (x * 1.15 + 0.15 * sway, 1.35), width=0.2) for x in (-0.6, -0.25, 0.25, 0.6)]
    if kind == "fins":
        spread = 0.55 + 0.1 * sway
        return [
            _area((0.5, 0), (1.55, -spread), (1.3, 0), (1.55, spread)),
            _area((-0.4, -0.4), (0.4, -0.4), (0.45, -1.2)),
            _area((-0.2, 0.4), (0.4, 0.4), (0.4, 1.1)),
        ]
    if kind == "wings":
        lift = 0.25 * sway - 0.85
        return [_area((s * 0.2, -0.35), (s * 1.6, lift), (s * 1.5, lift + 0.8), (s * 0.2, 0.45)) for s in (-1, 1)]
    if kind == "petals":
        return [(_PETAL + (0.95 * math.cos(a), 0.95 * math.sin(a)), 0.0) for a in _fan(7, phase)]
    if kind == "spines":
        return [_line((0, 0), (1.5 * math.cos(a), 1.5 * math.sin(a)), width=0.1) for a in _fan(13, phase)]
    y = np.linspace(0.2, 1.7, 9)
    return [(np.stack([x + 0.13 * np.sin(5 * y + phase), y], 1), 0.1) for x in (-0.7, -0.35, 0, 0.35, 0.7)]


def _fan(count: int, phase: float) -> list[float]:
    return [phase + 2 * math.pi * i / count for i in range(count)]


def _mask(outlines: list[tuple[np.ndarray, float]], turn: np.ndarray, center: np.ndarray) -> Image.Image:
    picture = Image.new("L", (_FINE, _FINE))
    pen = ImageDraw.Draw(picture)
    scale = 2 * math.sqrt(abs(turn[0, 0] * turn[1, 1] - turn[0, 1] * turn[1, 0]))
    for points, width in outlines:
        places = (2 * (points @ turn.T + center)).ravel().tolist()
        if width:
            pen.line(places, fill=255, width=max(2, round(width * scale)))
        else:
            pen.polygon(places, fill=255)
    return picture.reduce(2)


def _coat(pattern: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    p, q = rng.uniform(0, 6, 2)
    wave = {
        "striped": lambda: np.sin(8.5 * u + p),
        "banded": lambda: np.sin(8.5 * v + p),
        "spotted": lambda: 2 * np.sin(8 * u + p) * np.sin(8 * v + q) - 0.5,
        "chequered": lambda: 2 * np.sin(5.5 * (u + v) + p) * np.sin(5.5 * (u - v) + q),
        "ringed": lambda: np.sin(9 * np.sqrt(u * u + v * v) + 0.3 * p),
    }[pattern]()
    return 0.5 + 2 * wave


def _occlude(picture: Image.Image, center: np.ndarray, radius: float, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(picture)
    # Taken near an edge, the color of what stands in front is most often one of the surroundings.
    color = picture.getpixel((int(rng.integers(4)), int(rng.integers(IMAGE_SIZE))))
    a = rng.uniform(0, 2 * math.pi)
    away = radius * rng.uniform(0.3, 1.1)
    x, y = center[0] + away * math.cos(a), center[1] + away * math.sin(a)
    if rng.random() < 0.5:
        r = radius * rng.uniform(0.3, 0.65)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=color)
    else:
        dx, dy = -2 * IMAGE_SIZE * math.sin(a), 2 * IMAGE_SIZE * math.cos(a)
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=color, width=int(rng.integers(2, 6)))


def _photograph(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    across, down = rng.normal(0, 0.12 / IMAGE_SIZE, 2).tolist()
    light = rng.uniform(0.55, 1.2) + across * (_X - IMAGE_SIZE / 2) + down * (_Y - IMAGE_SIZE / 2)
    image = rng.standard_normal((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    image *= rng.uniform(4, 22)
    image += np.asarray(picture) * (light[..., None] * rng.uniform(0.85, 1.15, 3).astype(np.float32))
    return np.clip(image, 0, 255).astype(np.uint8)
