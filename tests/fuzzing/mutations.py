"""Files damaged in the ways of their formats: JSON, XML and graphs by structure, text by line, others by header."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import PurePath
from random import Random
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

_JSON = (".json",)
_LINES = (".jsonl", ".ndjson")
_XML = (".eaf", ".xml")
_BINARY = (".pkl", ".npy", ".pt", ".tgz", ".whl", ".safetensors", ".onnx")
_MEDIA = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac", ".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts")
_DEEP = 2000  # brackets in one another, which a reader that calls itself does not survive

_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 1e-320, 2**31, 2**63, 2**64, 10**30, -(10**30)),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "x", "0", "-1", "NaN", "1e999", "true", "null"),
    *("x" * 20_000, "\ud800", "\x00", "\x1b[31m", "\u202e", "\n", "../../etc/passwd", "/", "a/b", ".", "é", "😀" * 50),
    *([], {}, [[]], [None], [{}], {"": None}, [0] * 3000, {"start": -1, "end": "x"}),
]
_PIECES = [
    *(
        b"-->",
        b"<v ",
        b"\x00",
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\xff",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ),
    *(
        b"NaN",
        b"inf",
        b"1e999",
        b"-1",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\\ud800",
        b"&#0;",
        b"&#" + b"9" * 3000 + b";",
        b"<a>" * 40,
    ),
    *(
        b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>",
        b"]]>",
        b"9" * 5000,
        b"0",
        b":",
        b"00:00:00.000",
        b"99:99:99,999",
        b"\x1b[2J",
    ),
    *(
        b"[" * _DEEP,
        b'{"a":' * _DEEP,
        "\u2028".encode(),
        "ß：".encode(),
        b"=1+1",
        b"# ",
        b";; ",
        b"WEBVTT",
        b"<exists>",
    ),
]


def damaged(name: str, content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """A file's content, damaged once to four times.

    Args:
        name: of the file, whose suffix tells its format.
        content: of the whole file.
        chance: of everything random.
        others: contents of other files, of which pieces may come in.
    """
    suffix = PurePath(name).suffix.lower()
    for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 4])):
        content = chance.choice(_ways(suffix))(content, chance, others)
    return content


Way = Callable[[bytes, Random, Sequence[bytes]], bytes]


def _ways(suffix: str) -> list[Way]:
    if suffix in _JSON:
        return [_json, _json, _json, _json, _text]
    if suffix in _LINES:
        return [_json_line, _json_line, _json_line, _lines, _text]
    if suffix in _XML:
        return [_xml, _xml, _xml, _text]
    if suffix == ".safetensors":
        return [_safetensors_header, _safetensors_header, _numbers, *_BINARY_WAYS]
    if suffix == ".onnx":
        return [*[_graph] * 40, *_BINARY_WAYS]
    if suffix == ".npy":
        return [_npy_header, _npy_header, _numbers, *_BINARY_WAYS]
    if suffix in (*_BINARY, *_MEDIA):
        return _BINARY_WAYS
    return [_text, _lines, _lines, _digits, _digits, _encoding]


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _text(content, chance, others)
    value = changed_value(value, chance)
    try:
        text = json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, 1]))
    except RecursionError:
        return b"[" * _DEEP
    if chance.random() < 0.05:
        text = text.replace('""', "[" * _DEEP + "]" * _DEEP, 1)
    return text.encode("utf-8", "surrogatepass")


def _json_line(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = _json(lines[at], chance, others).replace(b"\n", b" ")
    return b"\n".join(lines)


def changed_value(value: Any, chance: Random) -> Any:
    """A JSON value in which one place is another: a key lost, doubled or renamed, a value of another type, nested."""
    places = list(_places(value))
    if not places:
        return deepcopy(chance.choice(_VALUES))
    holder, key = chance.choice(places)
    other_holder, other_key = chance.choice(places)
    way = chance.randrange(9)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        name = chance.choice([*holder, str(key).upper(), str(key) + "s", "", "x" * 300, "start", "speaker"])
        holder[name] = holder.pop(key)
    elif way == 2:
        holder[key] = deepcopy(other_holder[other_key])
    elif way == 3:
        holder[key], other_holder[other_key] = deepcopy(other_holder[other_key]), deepcopy(holder[key])
    elif way == 4 and isinstance(holder, list):
        holder[key:key] = [deepcopy(holder[key]) for _ in range(chance.choice([1, 2, 50]))]
    elif way == 5:
        holder[key] = chance.choice([[holder[key]], {"a": holder[key]}, {str(key): holder[key]}, str(holder[key])])
    elif way == 6 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        number = holder[key]
        holder[key] = chance.choice(
            [-number, str(number), number + 1, number - 1, number * 2**31, [number], number // 1]
        )
    else:
        holder[key] = deepcopy(chance.choice(_VALUES))
    return value


def _places(value: Any, depth: int = 0) -> Any:
    """Every holder and key in a JSON value."""
    if depth > 40:
        return
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key], depth + 1)


# --- XML and text ----------------------------------------------------------------------------------------------------


def _xml(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    parts = re.findall(rb"<[^>]*>|[^<]+", content)
    if len(parts) < 2:
        return _text(content, chance, others)
    at, to = sorted((chance.randrange(len(parts)), chance.randrange(len(parts))))
    way = chance.randrange(6)
    if way == 0:
        del parts[at : at + chance.choice([1, 1, 2, 5])]
    elif way == 1:
        parts[at], parts[to] = parts[to], parts[at]
    elif way == 2:
        parts[at:at] = parts[at:to][:30] * chance.choice([1, 1, 3])
    elif way == 3:
        parts[at] = b"<TIER>" * chance.choice([1, _DEEP])
    else:
        value = chance.choice([b"", b"-1", b"x", b"9" * 400, b"1e999", b"&#0;", b"ts1", b"a1", chance.choice(_PIECES)])
        parts[at] = re.sub(rb'"[^"]*"', lambda found: b'"' + value + b'"', parts[at], count=chance.choice([0, 1]))
    return b"".join(parts)


def _text(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    at, length = chance.randrange(len(content) + 1), chance.choice([0, 0, 1, 2, 8, 40])
    if chance.random() < 0.1:
        return content[:at]
    other = chance.choice(others) if others and chance.random() < 0.3 else content
    start = chance.randrange(len(other) + 1)
    added = chance.choice([chance.choice(_PIECES), chance.randbytes(3), other[start : start + 60], b""])
    return content[:at] + added + content[at + length :]


def _lines(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    way = chance.randrange(7)
    if way == 0:
        del lines[at]
    elif way == 1:
        lines[at], lines[to] = lines[to], lines[at]
    elif way == 2:
        lines[at:at] = [lines[to]] * chance.choice([1, 1, 200])
    elif way == 3:
        lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
    elif way == 4:
        lines[at] = lines[at].rstrip(b"\r\n")
    elif way == 5:
        lines[at:at] = [chance.choice([b"\n", b"\r\n", b"x\n", b"Note: x\n", b"Ann Lee:\n", b"\t\t\n", b",,,\n"])]
    elif others:
        lines[at:at] = chance.choice(others)[:2000].splitlines(keepends=True)[:3]
    return b"".join(lines)


def _digits(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    found = list(re.finditer(rb"\d+", content))
    if not found:
        return _text(content, chance, others)
    number = chance.choice(found)
    value = chance.choice(
        [b"", b"-1", b"0", b"99", b"1000", b"9" * 20, b"9" * 4500, b"1.5", b"1,5", b"nan", "٣".encode(), b"0x10"]
    )
    return content[: number.start()] + value + content[number.end() :]


def _encoding(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    text = content.decode("utf-8", "replace")
    name = chance.choice(
        ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252", "cp1251", "utf-32", "cp037", "koi8-r"]
    )
    return text.encode(name, "replace")


# --- graphs ----------------------------------------------------------------------------------------------------------

_NUMBERS = [0, 1, -1, 2, 3, 7, 8, 16, 255, 2**15, 2**20, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]
_NAMES = [
    *(
        "",
        "x",
        "weights",
        "*/_ORT_MEM_ADDR_/*",
        "/etc/passwd",
        "é",
        "com.microsoft",
        "Loop",
        "RandomNormal",
        "Identity",
    ),
    *("Concat", "Expand", "Tile", "ConstantOfShape", "Transpose", "MatMul", "Reshape", "Cast", "axis", "perm", "body"),
]


def _graph(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """An ONNX model in which one field of one part is lost, doubled, moved, or another."""
    try:
        return _changed_graph(onnx.ModelProto.FromString(content), chance)
    except (DecodeError, UnicodeDecodeError, IndexError):  # damaged before, or nothing is left
        return _flip(content, chance, others)


def _changed_graph(model: onnx.ModelProto, chance: Random) -> bytes:
    fields = list(_fields(model))
    part, field, value = chance.choice(fields)
    way = chance.randrange(6)
    if not _several(value):
        if way == 0 or isinstance(value, Message):
            part.ClearField(field.name)
        else:
            setattr(part, field.name, _other(field, value, fields, chance))
        return model.SerializeToString()
    at, other, kept = chance.randrange(len(value)), chance.randrange(len(value)), list(value)
    if way == 0:
        del kept[at]
    elif way == 1:
        kept[at:at] = [kept[other]] * chance.choice([1, 1, 3, 300])
    elif way == 2:
        kept[at], kept[other] = kept[other], kept[at]
    else:
        kept[at] = _other(field, kept[at], fields, chance)
    kept = [type(one).FromString(one.SerializeToString()) if isinstance(one, Message) else one for one in kept]
    part.ClearField(field.name)
    getattr(part, field.name).extend(kept)
    return model.SerializeToString()


def _other(field: Any, value: Any, fields: Sequence[Any], chance: Random) -> Any:
    """Another value of a field, often one of the same kind from elsewhere."""
    same = [one for _, _, v in fields for one in (v if _several(v) else [v]) if type(one) is type(value)]
    if isinstance(value, Message):
        return chance.choice(same)
    if isinstance(value, str):
        return chance.choice([*_NAMES, *(chance.choice(same) for _ in range(len(_NAMES)))])
    if isinstance(value, bytes):
        return chance.choice([b"", value + b"\0" * 4, value[:-4], bytes(len(value)), b"\xff" * len(value)])
    if isinstance(value, float):
        return chance.choice([0.0, -1.0, 1e30, float("nan"), float("inf"), value * 2])
    if field.type == field.TYPE_ENUM:
        return chance.choice([known.number for known in field.enum_type.values])
    bits = 31 if field.type == field.TYPE_INT32 else 63
    number = chance.choice([*_NUMBERS, value + 1, value - 1, value * 2, -value, chance.choice(same)])
    return min(max(number, -(2**bits)), 2**bits - 1)


def _fields(message: Message) -> Any:
    """Every field in a model that is there, with the message that it is in."""
    for field, value in message.ListFields():
        yield message, field, value
        for one in value if _several(value) else [value]:
            if isinstance(one, Message):
                yield from _fields(one)


def _several(value: Any) -> bool:
    return not isinstance(value, (str, bytes, int, float, Message))


# --- binary files ----------------------------------------------------------------------------------------------------


def _safetensors_header(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + length], content[8 + length :]
    header = _json(header, chance, others)
    if chance.random() < 0.1:
        length = chance.choice([0, 1, 2**31, 2**40, 2**63, len(header) + 1, len(content)])
    else:
        length = len(header)
    return (length % 2**64).to_bytes(8, "little") + header + rest


def _npy_header(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    end = content.find(b"\n") + 1
    if not content.startswith(b"\x93NUMPY") or not end:
        return _flip(content, chance, others)
    changes = [
        (
            rb"\(\d+, \d+\)",
            chance.choice([b"(9999999999, 9)", b"(-1, 4)", b"()", b"(1,)", b"(0, 0)", b"(2**9, 1)", b"(3, 2, 1)"]),
        ),
        (
            rb"'[<>|=][a-z]\d+'",
            chance.choice([b"'|O'", b"'<f8'", b"'<i8'", b"'<U4'", b"'>f4'", b"'<c8'", b"'V9'", b"[('a','<f4')]"]),
        ),
        (rb"False", b"True"),
        (rb"'shape'", b"'shapes'"),
    ]
    pattern, value = chance.choice(changes)
    header = re.sub(pattern, lambda found: value, content[10:end]).rstrip(b" \n")
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return content[:8] + len(header).to_bytes(2, "little") + header + content[end:]


def _numbers(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """Values of a file of numbers, which stand at its end, become NaN, infinite, huge or denormal."""
    value = chance.choice(
        [b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00"]
    )
    at = len(content) - 4 * chance.randint(1, max(1, len(content) // 8))
    return content[: max(at, 0)] + value * chance.choice([1, 1, 5]) + content[at + 4 :]


def _flip(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 40) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _extreme(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """Extreme numbers where headers are: at the beginning, or at the end."""
    if len(content) < 12:
        return content
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(min(700, len(content) - 8))
        at = len(content) - 4 - at if chance.random() < 0.3 else at
        value = chance.choice(
            [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF, 0x10000000, chance.randrange(2**32)]
        )
        changed[at : at + 4] = value.to_bytes(4, chance.choice(["big", "little"]))  # type: ignore[arg-type]
    return bytes(changed)


def _splice(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others) if others else content
    first, length = chance.randrange(len(other) + 1), chance.randint(1, 4000)
    at = chance.randrange(len(content) + 1)
    return content[:at] + other[first : first + length] + content[at + chance.choice([0, length]) :]


def _blank(content: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(content) + 1)
    piece = content[at : at + chance.randint(1, 3000)]
    filled = chance.choice([bytes(len(piece)), b"\xff" * len(piece), b"", piece * chance.randint(2, 4)])
    return content[:at] + filled + content[at + len(piece) :]


_BINARY_WAYS: list[Way] = [_flip, _flip, _cut, _extreme, _extreme, _splice, _blank]
