"""Printed pictures: road signs, shop names, number plates, posters. Drawn once with Pillow's own font."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE = 128
BANNER = (48, 192)

STOP, YIELD, SPEED_30, SPEED_50, PARKING, CROSSING, NO_ENTRY, WORKS, BUS_STOP, ARROW, BEND, CYCLES = range(12)
PLATES = 16
SHOPS = (
    ("CAFE LUNA", "#5b2a1a", "#f6e7c8"), ("BAKERY", "#e9c46a", "#4a2c12"), ("BOOKS", "#1d3557", "#f1faee"),
    ("FLOWERS", "#2d6a4f", "#ffe5ec"), ("PHARMACY", "#ffffff", "#0a8f3c"), ("MARKET", "#c1121f", "#fdf0d5"),
    ("HOTEL ASTOR", "#222222", "#e0c068"), ("PIZZA", "#d62828", "#fff3b0"), ("OPTIK", "#023e8a", "#ffffff"),
    ("BARBER", "#14213d", "#fca311"), ("BANK", "#003049", "#eae2b7"), ("TOYS", "#ffb703", "#d00000"),
)  # fmt: skip
FREIGHT = (
    ("NORDFREIGHT", "#f4f4f4", "#0b4f9c"), ("fresh & green", "#eef7ea", "#2b8a3e"), ("TRANSLOG", "#f7f2e8", "#c92a2a"),
    ("move24", "#fff3bf", "#e8590c"), ("ARCTIC", "#e7f5ff", "#1864ab"), ("PACKET+", "#fff9db", "#862e9c"),
)  # fmt: skip
LINES = ("12 CENTRAL", "7 HARBOUR", "31 STATION", "4 OLD TOWN")
POSTERS = (("SUMMER SALE", "#ffadad", "#7a0019"), ("OPEN AIR", "#123456", "#ffd166"), ("MUSEUM", "#2b2d42", "#edf2f4"))
FIRST_SHOP = PLATES
FIRST_FREIGHT = FIRST_SHOP + len(SHOPS)
FIRST_LINE = FIRST_FREIGHT + len(FREIGHT)
FIRST_POSTER = FIRST_LINE + len(LINES)
TAXI = FIRST_POSTER + len(POSTERS)


@cache
def signs() -> NDArray[np.uint8]:
    """(12, SIZE, SIZE, 3): the faces of road signs, by the numbers above."""
    faces = [
        _stop(), _yield(), _speed("30"), _speed("50"), _blue("P"), _crossing(), _no_entry(), _triangle("works"),
        _bus(), _arrow(), _triangle("bend"), _cycles(),
    ]  # fmt: skip
    return np.stack([np.asarray(face.convert("RGB")) for face in faces])


@cache
def banners() -> NDArray[np.uint8]:
    """(n, 48, 192, 3): number plates, then shop names, freight firms, bus destinations, posters, a taxi's sign."""
    letters = np.random.default_rng(5).integers(0, 26, (PLATES, 4))
    digits = np.random.default_rng(6).integers(100, 999, PLATES)
    pictures = [
        _text(
            "".join(chr(65 + n) for n in row[:2]) + f" {number} " + "".join(chr(65 + n) for n in row[2:]),
            "#f2f2ee",
            "#111111",
            40,
        )
        for row, number in zip(letters, digits, strict=True)
    ]
    pictures += [_text(name, paper, ink, 30) for name, paper, ink in SHOPS]
    pictures += [_text(name, paper, ink, 26) for name, paper, ink in FREIGHT]
    pictures += [_text(line, "#111111", "#ffb52e", 30) for line in LINES]
    pictures += [_text(name, paper, ink, 26) for name, paper, ink in POSTERS]
    pictures.append(_text("TAXI", "#ffe9a8", "#111111", 40))
    return np.stack([np.asarray(picture) for picture in pictures])


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _text(text: str, paper: str, ink: str, size: int) -> Image.Image:
    picture = Image.new("RGB", (BANNER[1], BANNER[0]), paper)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((1, 1, BANNER[1] - 2, BANNER[0] - 2), outline=ink)
    font = _font(size)
    while size > 10 and draw.textlength(text, font=font) > BANNER[1] - 12:
        size -= 2
        font = _font(size)
    draw.text((BANNER[1] / 2, BANNER[0] / 2), text, fill=ink, font=font, anchor="mm", stroke_width=1, stroke_fill=ink)
    return picture


def _plain(colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (SIZE, SIZE), colour)
    return picture, ImageDraw.Draw(picture)


def _stop() -> Image.Image:
    picture, draw = _plain("#ffffff")
    draw.regular_polygon((64, 64, 61), 8, rotation=22.5, fill="#c1121f")
    draw.text((64, 64), "STOP", fill="white", font=_font(40), anchor="mm", stroke_width=2, stroke_fill="white")
    return picture


def _yield() -> Image.Image:
    picture, draw = _plain("#c1121f")
    draw.polygon([(24, 34), (104, 34), (64, 104)], fill="white")
    return picture


def _speed(text: str) -> Image.Image:
    picture, draw = _plain("#c1121f")
    draw.ellipse((18, 18, 110, 110), fill="white")
    draw.text((64, 64), text, fill="black", font=_font(58), anchor="mm", stroke_width=2, stroke_fill="black")
    return picture


def _blue(text: str) -> Image.Image:
    picture, draw = _plain("#0b4fa3")
    draw.rectangle((5, 5, 122, 122), outline="white", width=5)
    draw.text((64, 66), text, fill="white", font=_font(100), anchor="mm", stroke_width=3, stroke_fill="white")
    return picture


def _walker(draw: ImageDraw.ImageDraw, x: int, y: int, colour: str) -> None:
    draw.ellipse((x - 7, y - 34, x + 7, y - 20), fill=colour)
    draw.line((x, y - 18, x - 2, y + 8), fill=colour, width=10)
    for dx in (-14, 14):
        draw.line((x - 2, y + 6, x + dx, y + 34), fill=colour, width=7)
        draw.line((x, y - 14, x + dx, y + 4), fill=colour, width=5)


def _crossing() -> Image.Image:
    picture, draw = _plain("#0b4fa3")
    draw.polygon([(64, 14), (118, 108), (10, 108)], fill="white")
    _walker(draw, 64, 68, "black")
    return picture


def _no_entry() -> Image.Image:
    picture, draw = _plain("#c1121f")
    draw.rectangle((22, 52, 106, 76), fill="white")
    return picture


def _triangle(kind: str) -> Image.Image:
    picture, draw = _plain("#c1121f")
    draw.polygon([(64, 30), (108, 106), (20, 106)], fill="#ffe066" if kind == "works" else "white")
    if kind == "works":
        draw.ellipse((62, 50, 74, 62), fill="black")
        draw.line((66, 62, 56, 84, 46, 102), fill="black", width=6)
        draw.line((58, 80, 70, 102), fill="black", width=6)
        draw.polygon([(76, 102), (100, 102), (88, 86)], fill="black")
    else:
        draw.line((58, 100, 58, 84, 72, 72, 72, 56), fill="black", width=8)
        draw.polygon([(72, 44), (62, 60), (82, 60)], fill="black")
    return picture


def _bus() -> Image.Image:
    picture, draw = _plain("#f2c200")
    draw.ellipse((8, 8, 120, 120), fill="#1b7f3b")
    draw.text((64, 66), "H", fill="#f2c200", font=_font(88), anchor="mm", stroke_width=3, stroke_fill="#f2c200")
    return picture


def _arrow() -> Image.Image:
    picture, draw = _plain("#0b4fa3")
    draw.line((64, 104, 64, 50), fill="white", width=16)
    draw.polygon([(64, 18), (34, 58), (94, 58)], fill="white")
    return picture


def _cycles() -> Image.Image:
    picture, draw = _plain("#0b4fa3")
    for x in (40, 88):
        draw.ellipse((x - 20, 60, x + 20, 100), outline="white", width=5)
    draw.line((40, 80, 58, 50, 82, 52, 62, 80, 40, 80), fill="white", width=5)
    draw.line((62, 80, 56, 44), fill="white", width=5)
    draw.line((88, 80, 80, 42, 92, 40), fill="white", width=5)
    return picture
