"""Protocol buffers' wire format, as far as files of boxes need it: written and read without a schema compiler.

A message is a row of fields, each a key (field number and wire type) and a value: a varint, eight or four bytes, or a
length and that many bytes. https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5

Value = int | float | bytes
"""A field's value: an int of a varint, a float of eight or four bytes, bytes of anything with a length."""


def key(number: int, wire: int) -> bytes:
    """What stands before the value of field ``number``."""
    return varint(number << 3 | wire)


def varint(value: int) -> bytes:
    """A non-negative integer, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    """Field ``number`` as a varint; negative numbers as protocol buffers' int64 has them."""
    return key(number, VARINT) + varint(value & 0xFFFFFFFFFFFFFFFF)


def double(number: int, value: float) -> bytes:
    """Field ``number`` as a float of eight bytes."""
    return key(number, EIGHT_BYTES) + struct.pack("<d", value)


def single(number: int, value: float) -> bytes:
    """Field ``number`` as a float of four bytes."""
    return key(number, FOUR_BYTES) + struct.pack("<f", value)


def message(number: int, content: bytes) -> bytes:
    """Field ``number`` as bytes with their length: a message or a text."""
    return key(number, BYTES) + varint(len(content)) + content


def fields(content: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message in the file's order: (number, value).

    Raises:
        ValueError: the bytes end within a field, or are no message.
    """
    at = 0
    while at < len(content):
        head, at = _varint(content, at)
        number, wire = head >> 3, head & 7
        if number == 0:
            raise ValueError("field 0")
        if wire == VARINT:
            value: Value
            value, at = _varint(content, at)
        else:
            if wire == BYTES:
                length, at = _varint(content, at)
            elif wire in (EIGHT_BYTES, FOUR_BYTES):
                length = 8 if wire == EIGHT_BYTES else 4
            else:
                raise ValueError(f"wire type {wire}")
            if at + length > len(content):
                raise ValueError("ends within a field")
            value = content[at : at + length]
            if wire != BYTES:
                value = float(struct.unpack("<d" if wire == EIGHT_BYTES else "<f", value)[0])
            at += length
        yield number, value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise ValueError("ends within a number")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
