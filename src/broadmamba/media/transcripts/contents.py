"""What a file is that is no transcript, so that a refusal can say it, whatever the file is called."""

from __future__ import annotations

import re

from broadmamba.media.container import sniff

_HEAD = 4096
_SIGNATURES = {
    b"PK\x03\x04": "a ZIP archive, as DOCX, ODT and XLSX files are",
    b"PK\x05\x06": "an empty ZIP archive",
    b"%PDF-": "a PDF file",
    b"{\\rtf": "an RTF file",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old file of an office program (DOC, XLS)",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x89PNG\r\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"SQLite format 3\x00": "an SQLite database",
}
_HTML = re.compile(r"(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|title)\b", re.I | re.S)
_XML = re.compile(r"(?:<\?xml[^>]*>\s*|<![^>]*>\s*|<!--.*?-->\s*)*<([A-Za-z_][\w:.-]*)", re.S)
_ROOTS = {
    "tt": "TTML subtitles",
    "sami": "SAMI subtitles",
    "timedtext": "XML captions of YouTube",
    "transcript": "XML captions of YouTube",
    "rss": "a feed",
    "svg": "a picture (SVG)",
}
_PYTHON = re.compile(r"\[?\s*\{'\w+':\s")
_LINES = {
    re.compile(r"\[Script Info\]|\[V4\+? Styles\]|Dialogue: [0-9]+,[0-9:.]+,[0-9:.]+,", re.I): (
        "subtitles in the format of SubStation Alpha (ASS, SSA)"
    ),
    re.compile(r"\{[0-9]+\}\{[0-9]+\}"): "subtitles of MicroDVD, which count frames",
    re.compile(r"\[[0-9]+\]\s*\[[0-9]+\]"): "subtitles in the format MPL2",
    re.compile(r"(?:@UTF8\s+)?(?:@[A-Z]\w*:.*\n)*@Begin\s"): "a transcript in the format CHAT",
}


def binary_kind(content: bytes) -> str | None:
    """What bytes are whose beginning says that they are no plain text; None where it does not."""
    head = content[:_HEAD]
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    # a recording has bytes that no text has, and a mark of UTF-16 looks like the start of an MP3
    if b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        recording = "mp3" if head.startswith(b"ID3") else sniff(head)
        return f"a recording ({recording})" if recording else None
    return None


def markup_kind(text: str) -> str | None:
    """What markup is that holds no transcript which is read; None where text may be one."""
    head = text[:_HEAD].lstrip()
    if _HTML.match(head):
        return "an HTML page"
    if known := next((kind for opening, kind in _LINES.items() if opening.match(head)), None):
        return known
    if _PYTHON.match(head):
        return "objects as Python prints them (json.dump writes them as JSON)"
    root = _XML.match(head)
    if root is None:
        return None
    name = root[1].rpartition(":")[2]
    if name.lower() in _ROOTS:
        return _ROOTS[name.lower()]
    closed = text.rstrip()[-_HEAD:].endswith((f"</{root[1]}>", "/>"))
    # a name in angle brackets may open a line of talk, and so may italics
    return f"XML with the root {name[:40]}" if head.startswith("<?xml") or (closed and len(name) > 1) else None
