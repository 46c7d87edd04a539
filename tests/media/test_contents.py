"""Files that are no transcript, under names of transcripts: a sentence says what was found."""

from __future__ import annotations

import gzip
import io
import json
import pprint
import wave
import zipfile
from pathlib import Path

import pytest

from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript

NAMES = ["talk.srt", "talk.vtt", "talk.txt", "talk.csv", "talk"]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("word/document.xml"), "<w:document/>")
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(bytes(1000))
    return file.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (archive(), "found a ZIP archive, as DOCX"),
        (b"%PDF-1.7\n1 0 obj\nendobj\n", "found a PDF file"),
        (rb"{\rtf1\ansi Anna: Hi\par}", "found an RTF file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "found an old file of an office program"),
        (gzip.compress(b"Anna: Hi", mtime=0), "found a gzip archive"),
        (sound(), r"found a recording \(wav\)"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "found an HTML page"),
        ("<!doctype HTML><title>Seite</title>ä".encode("utf-16"), "found an HTML page"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'><p>Hi</p></html>", "found an HTML page"),
        (b"<?xml version='1.0'?>\n<tt xmlns='x'><body><p begin='1s'>Hi</p></body></tt>", "found TTML subtitles"),
        (b"<tt:tt xmlns:tt='x'></tt:tt>", "found TTML subtitles"),
        (b"<SAMI><BODY><SYNC Start=1><P>Hi</SAMI>", "found SAMI subtitles"),
        (b"<transcript><text start='1' dur='2'>Hi</text></transcript>", "found XML captions of YouTube"),
        (b"<notes><note>Hi</note></notes>\n", "found XML with the root notes"),
        (pprint.pformat([{"text": "Anna: Hi, who is there?", "start": 1.5, "duration": 2.0}] * 3).encode(),
         "found objects as Python prints them"),
        (str({"text": "Hi", "segments": [{"start": 1.5, "end": 2.0, "text": "Hi"}]}).encode(),
         "found objects as Python prints them"),
        (b"\xef\xbb\xbf[Script Info]\nTitle: x\n\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,x,Anna,0,0,0,,Hi\n",
         r"found subtitles in the format of SubStation Alpha"),
    ],
)  # fmt: skip
def test_what_was_found_is_said(tmp_path: Path, name, content, found):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=found) as error:
        read_transcript(tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["talk.ass", "talk.ttml", "talk.docx", "talk.smi"])
def test_a_name_of_another_format_is_not_read_as_text(tmp_path: Path, name):
    (tmp_path / name).write_text("Anna: Hi\nBen: Ho\n")
    with pytest.raises(InputError, match=f"found a {Path(name).suffix} file that is none of them"):
        read_transcript(tmp_path / name)


@pytest.mark.parametrize("name", [*NAMES, "talk.json"])
@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_alone_is_no_transcript(tmp_path: Path, name, mark):
    (tmp_path / name).write_bytes("".encode(mark))
    with pytest.raises(InputError, match="expected at least one utterance, found only white space"):
        read_transcript(tmp_path / name)


@pytest.mark.parametrize("name", [*NAMES, "talk.json", "talk.jsonl"])
def test_an_error_that_a_server_sent(tmp_path: Path, name):
    for error in ({"error": "not found"}, {"error": {"code": 401, "message": "no key"}}):
        (tmp_path / name).write_text(json.dumps(error))
        with pytest.raises(InputError, match="found") as refusal:
            read_transcript(tmp_path / name)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("line", ["<Anna> hi there", "<i>Hello</i>", "GIFs are fun", "<3 you"])
def test_talk_that_begins_like_markup_is_talk(tmp_path: Path, line):
    (tmp_path / "talk.txt").write_text(f"{line}\nBen and so on\n")
    assert len(read_transcript(tmp_path / "talk.txt")) == 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{10}{60}It broke.\n{70}{90}What did?\n", "MicroDVD"),
        ("[10][35]It broke.\n[36][48]What did?\n", "MPL2"),
        ("Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,It broke.\n", "SubStation"),
        ("@UTF8\n@PID:\t11312/c-1\n@Begin\n*CHI:\tit broke .\n@End\n", "CHAT"),
    ],
)
def test_other_formats_of_lines(tmp_path, text, kind):
    path = tmp_path / "talk.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=kind):
        read_transcript(path)
