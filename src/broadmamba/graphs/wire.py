"""Protocol Buffers, the format of ONNX files, read strictly.

The encoding is described at https://protobuf.dev/programming-guides/encoding. What two readers might understand in two
ways (fields that nobody knows, single ones that are there twice) is refused.
"""

from __future__ import annotations

from typing import Any

# What a field holds. A part is another message or bytes, known by where it starts and ends.
PART, TEXT, INTEGER, FLOAT, DOUBLE, IGNORED = range(6)

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # how a field is coded
_CODES = {PART: _LENGTH, TEXT: _LENGTH, IGNORED: _LENGTH, INTEGER: _VARINT, FLOAT: _FOUR_BYTES, DOUBLE: _EIGHT_BYTES}
_NUMBERS = (INTEGER, FLOAT, DOUBLE)

Part = tuple[int, int]
"""Where bytes start, and where they end."""


class MisfitError(Exception):
    """What is wrong with a file, as words that go after its name: "has 3 roots, expected 1"."""


class Message:
    """The fields that a message may have.

    Args:
        what: the message is, for errors.
        fields: name → number, what it holds, and True where there may be several.
    """

    def __init__(self, what: str, **fields: tuple[int, int] | tuple[int, int, bool]) -> None:
        self.what = what
        self.known: dict[int, tuple[str, int, bool]] = {}
        for name, (number, holds, *several) in fields.items():
            for code in {_CODES[holds], *([_LENGTH] if several else [])}:  # several numbers may be packed
                self.known[number << 3 | code] = (name, holds, bool(several))


class Wire:
    """A file.

    Args:
        data: its content.
        most: fields and packed whole numbers that are read before it is refused, which bounds time and memory.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self.data = data
        self._most = self._left = most

    def fields(self, message: Message, part: Part) -> dict[str, Any]:
        """Read a message.

        Returns:
            Name of a field → what it holds: a part, a text or a whole number, or a list of them where there may be
            several; of other numbers the parts that they are in. A field that is not there has no entry.

        Raises:
            MisfitError: it is damaged, or no such message.
        """
        try:
            return self._fields(message, *part)
        except IndexError:
            raise MisfitError("ends too early, expected the whole file") from None

    def _fields(self, message: Message, at: int, end: int) -> dict[str, Any]:
        data, known, left = self.data, message.known, self._left
        found: dict[str, Any] = {}
        while at < end:
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = self._varint(at - 1)
            if tag not in known:
                raise MisfitError(f"has field {tag >> 3} (code {tag & 7}) in a {message.what}, expected a known one")
            name, holds, several = known[tag]
            code = tag & 7
            value: Any
            if code == _VARINT:
                value = data[at]
                at += 1
                if value > 127:
                    value, at = self._varint(at - 1)
                    value -= value >> 63 << 64  # the upper half are the negative numbers
            else:
                size = 4 if code == _FOUR_BYTES else 8
                if code == _LENGTH:
                    size = data[at]
                    at += 1
                    if size > 127:
                        size, at = self._varint(at - 1)
                value = (at, at + size)
                at += size
            left -= 1
            if at > end:
                raise IndexError
            if holds == IGNORED or (code == _LENGTH and holds in _NUMBERS and not size):  # no packed numbers are none
                pass
            elif not several:
                if name in found:
                    raise MisfitError(f"has two fields {name!r} in a {message.what}, expected one")
                found[name] = self._text(value) if holds == TEXT else value
            elif holds == TEXT:
                found.setdefault(name, []).append(self._text(value))
            elif holds == INTEGER and code == _LENGTH:
                numbers = self._packed(value)
                found.setdefault(name, []).extend(numbers)
                left -= len(numbers)
            else:
                found.setdefault(name, []).append(value)
            if left < 0:
                raise MisfitError(f"has more than {self._most} fields, expected fewer")
        self._left = left
        return found

    def _text(self, part: Part) -> str:
        try:
            return self.data[slice(*part)].decode()
        except UnicodeDecodeError:
            raise MisfitError(f"has a name that is no UTF-8 at byte {part[0]}, expected text") from None

    def _packed(self, part: Part) -> list[int]:
        at, end = part
        numbers = []
        while at < end:
            value, at = self._varint(at)
            numbers.append(value - (value >> 63 << 64))
        if at > end:
            raise IndexError
        return numbers

    def _varint(self, at: int) -> tuple[int, int]:
        """A whole number below 2⁶⁴, seven bits a byte, and where it ends."""
        value = shift = 0
        while True:
            byte = self.data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        if value >> 64 or shift > 63:
            raise MisfitError(f"has a number at byte {at} that is too large, expected 64 bits")
        return value, at
