"""Damaged transcripts of every format, read in a child with little memory and time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

MUTATIONS = 24  # of each seed
MEMORY = 1 << 30  # bytes
SECONDS = 60  # for all files of one test, of computing

TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 9\ntiers? <exists>\nsize = 2\nitem []:\n'
    '    item [1]:\n        class = "IntervalTier"\n        name = "Anna"\n        xmin = 0\n        xmax = 9\n'
    "        intervals: size = 1\n        intervals [1]:\n            xmin = 0.5\n            xmax = 1.5\n"
    '            text = "say ""hi"""\n    item [2]:\n        class = "TextTier"\n        name = "clicks"\n'
    "        xmin = 0\n        xmax = 9\n        points: size = 1\n        points [1]:\n            number = 3\n"
    '            mark = "x"\n'
)
EAF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT FORMAT="3.0"><HEADER TIME_UNITS="milliseconds"/>\n'
    '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="10"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/>\n'
    '</TIME_ORDER><TIER TIER_ID="Anna" PARTICIPANT="Zoë"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"\n'
    ' TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>Hi &amp; bye</ANNOTATION_VALUE>\n'
    "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>\n"
)
WHISPER = (
    '{"segments": [{"start": 0.0, "end": 2.5, "text": " Hi. No.", "speaker": "S0",\n'
    ' "words": [{"word": "Hi.", "start": 0.0, "end": 0.5, "speaker": "S0"}, {"word": "No.", "speaker": "S1"}]},\n'
    ' {"offsets": {"from": 2500, "to": 3000}, "text": "Zoë"}]}\n'
)
SEEDS = {
    "a.TextGrid": TEXTGRID.encode(),
    "b.TextGrid": TEXTGRID.encode("utf-16"),
    "c.eaf": EAF.encode(),
    "d.json": WHISPER.encode(),
    "e.ctm": b";; c\ntalk 1 0.1 0.2 so 0.9\ntalk 2 0.4 0.2 what NA lex Bob\ntalk 1 * * <ALT_BEGIN>\ntalk 1 9 1 x\n",
    "f.rttm": b"SPEAKER talk 1 0.1 2 <NA> <NA> Anna <NA> <NA>\nSPEAKER talk 1 1.5 2 <NA> <NA> Bob <NA>\n",
    "g.vtt": b"WEBVTT\n\nSTYLE\n::cue {}\n\n00:01.000 --> 00:02.000\n<v Anna><c.emotion.joy>[x]</c>Hi &amp; <i>o</i>\n",
    "h.srt": "1\n00:00:01,000 --> 00:00:02,000\nANNA: naïve\n- b\n\n2\n00:00:03,000 --> 00:00:04,000\n\n".encode(
        "cp1252"
    ),
    "i.csv": b'id,speaker,text,start,end\n1,Anna,"a, ""b""",0.5,00:00:02.5\n2,Bob,c,,\n',
    "j.jsonl": b'{"id": 1, "speaker": "Anna", "text": "Hi \\u00e9", "start": 1.5, "end": null}\n{"text": ""}\n',
    "l.json": b'{"chunks": [{"timestamp": [0.0, 1.5], "text": " a b"}, {"timestamp": [1.5, null], "text": "c"}]}\n',
    "m.json": b'{"results":{"items":[{"type":"pronunciation","start_time":"0.5","alternatives":[{"content":"a"}]}]}}\n',
    "n.txt": "Zoë (00:02): naïve\n[00:03 --> 00:04] b\n\nUnknown Speaker  0:05\nc\n".encode(),
    "o.tsv": b"A\tZ\t00:00:00.500\t0.5\t00:00:02.500\t2.5\ta\nB\t\t00:00:02.500\t2.5\t00:00:03.000\t3.0\tb\n",
    "k.txt": "Anna: naïve\nand so on\n\nBob：ok\n".encode(),
}
PIECES = [
    b"-->", b"<v ", b"\x00", b'"', b",", b"\n\n", b"\r", b"\xff", b"\xff\xfe", b"NaN", b"1e999", b"-1", b"{", b"}",
    b"[", b"\\ud800", b"&#0;", b"&#" + b"9" * 5000 + b";", b"<!DOCTYPE x>", b"<a>" * 40,
    b"9" * 5000, b"0", b"<exists>",
]  # fmt: skip

CHILD = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
for path in json.load(sys.stdin):
    begin = time.process_time()
    try:
        rows = [[u.id, u.text, u.speaker, u.start, u.end] for u in read_transcript(path)]
    except InputError as error:
        rows = str(error)
    print(json.dumps([time.process_time() - begin, rows], allow_nan=False), flush=True)
"""


def read_in_child(paths: list[Path]) -> list[tuple[float, object]]:
    """What a child with little memory and time makes of files: seconds, and rows (or a refusal) of each."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(MEMORY), str(SECONDS)],
        input=json.dumps([str(path) for path in paths]), capture_output=True, text=True, timeout=600,
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    answers = child.stdout.splitlines()
    stopped_at = paths[len(answers)].read_bytes()[:500] if len(answers) < len(paths) else b""
    assert child.returncode == 0, (child.stderr[-2000:], stopped_at)
    return [json.loads(answer) for answer in answers]


def mutate(content: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(content) + 1), chance.choice([0, 0, 1, 2, 8, 40])
        other = chance.randrange(len(content) + 1)
        added = chance.choice([chance.choice(PIECES), chance.randbytes(3), content[other : other + 30], b""])
        content = content[:at] + added + content[at + length :]
    return content[: chance.randrange(len(content) + 1)] if chance.random() < 0.15 else content


def test_every_damaged_file_gives_a_sound_conversation_or_a_refusal_that_names_it(tmp_path):
    chance = random.Random(7)
    paths = []
    for name, content in SEEDS.items():
        for number in range(MUTATIONS):
            paths.append(tmp_path / f"{number}{name}")
            paths[-1].write_bytes(content if number == 0 else mutate(content, chance))
    assert len(paths) >= 200
    refused = 0
    for path, (_, answer) in zip(paths, read_in_child(paths), strict=True):
        if isinstance(answer, str):
            refused += 1
            assert str(path) in answer and "\n" not in answer and len(answer) < 600, answer
            assert not path.name.startswith("0"), answer
            continue
        assert answer and len({row[0] for row in answer}) == len(answer)
        for _, text, speaker, start, end in answer:
            assert isinstance(text, str) and (speaker is None or speaker.strip())
            assert all(time is None or 0 <= time <= 3_600_000 for time in (start, end))
            assert start is None or end is None or start <= end
    assert len(paths) / 10 < refused < len(paths)


HEADER = b'"ooTextFile"\n"TextGrid"\n0\n9\n<exists>\n1\n"IntervalTier"\n"A"\n0\n9\n9999999\n'
VTT = b"WEBVTT\n\n00:01.000 --> 00:02.000\n"


REPEATED = [
    ("a.vtt", VTT, b"<v A>x"),
    ("b.vtt", VTT, b"<v A"),
    ("c.vtt", b"WEBVTT\n\n", b"1:1"),
    ("d.vtt", VTT, b"&#"),
    ("e.txt", b"", b" a:"),
    ("f.csv", b"", b"text,"),
    ("g.json", b"", b"["),
    ("h.json", b'{"segments":[', b"{},"),
    ("i.TextGrid", HEADER, b'""'),
    ("j.TextGrid", HEADER, b"0 1 "),
    ("k.eaf", b"<ANNOTATION_DOCUMENT>", b"<TIER/>"),
    ("l.eaf", b"<ANNOTATION_DOCUMENT>", b"&lt;"),
    ("m.ctm", b"", b"f 1 0 1 w\n"),
    ("o.txt", b"", b"[00:01] A b\nc\n"),
    ("n.rttm", b"", b"SPEAKER f 1 0 1 <NA> <NA> A <NA>\n"),
]


def test_time_grows_no_faster_than_the_file(tmp_path):
    """Quadratic work would take sixteen times as long for four times the file, which shows where it takes 15 ms."""
    paths = []
    for name, start, repeated in REPEATED:
        for size in (400_000, 1_600_000):
            paths.append(tmp_path / f"{size}{name}")
            paths[-1].write_bytes(start + repeated * (size // len(repeated)))
    seconds = [spent for spent, _ in read_in_child(paths)]
    for path, small, large in zip(paths[::2], seconds[::2], seconds[1::2], strict=True):
        assert large < 9 * small + 0.5, (path.name, small, large)
