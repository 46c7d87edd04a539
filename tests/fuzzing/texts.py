"""Whole transcripts of every format, to be damaged."""

from __future__ import annotations

import json

TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 9\ntiers? <exists>\nsize = 2\nitem []:\n'
    '    item [1]:\n        class = "IntervalTier"\n        name = "Anna"\n        xmin = 0\n        xmax = 9\n'
    "        intervals: size = 2\n        intervals [1]:\n            xmin = 0\n            xmax = 1.5\n"
    '            text = ""\n        intervals [2]:\n            xmin = 1.5\n            xmax = 9\n'
    '            text = "say ""hi"""\n    item [2]:\n        class = "TextTier"\n        name = "clicks"\n'
    "        xmin = 0\n        xmax = 9\n        points: size = 1\n        points [1]:\n            number = 3\n"
    '            mark = "x"\n'
)
WORDS = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3\n<exists>\n2\n"IntervalTier"\n"Ben - words"\n0\n3\n3\n'
    '0\n1\n"so"\n1\n2\n"sp"\n2\n3\n"what"\n"IntervalTier"\n"Ben - phones"\n0\n3\n1\n0\n3\n"s"\n'
)
EAF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT FORMAT="3.0"><HEADER TIME_UNITS="milliseconds"/>\n'
    '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="10"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/>\n'
    '<TIME_SLOT TIME_SLOT_ID="ts3"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="2900"/></TIME_ORDER>\n'
    '<TIER TIER_ID="Anna" PARTICIPANT="Zoë" LINGUISTIC_TYPE_REF="u"><ANNOTATION>\n'
    '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">\n'
    "<ANNOTATION_VALUE>Hi &amp; bye</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>\n"
    '<TIER TIER_ID="Ben" LINGUISTIC_TYPE_REF="u"><ANNOTATION>\n'
    '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">\n'
    "<ANNOTATION_VALUE>well</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>\n"
    '<TIER TIER_ID="gloss" PARENT_REF="Anna" LINGUISTIC_TYPE_REF="w"><ANNOTATION>\n'
    '<REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1"><ANNOTATION_VALUE>hey</ANNOTATION_VALUE></REF_ANNOTATION>\n'
    '</ANNOTATION></TIER><LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="u" TIME_ALIGNABLE="true"/>\n'
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="w" TIME_ALIGNABLE="false" CONSTRAINTS="Symbolic_Association"/>\n'
    "</ANNOTATION_DOCUMENT>\n"
)


def _said(
    word: str = "word", speaker: object = "S0", start: str = "start", end: str = "end"
) -> list[dict[str, object]]:
    heard = [("Hi", 0.1, 0.4), ("there.", 0.4, 0.9), ("Well", 1.5, 1.9), ("no?", 2.0, 2.4)]
    return [
        {word: text, start: first, end: last, "speaker": speaker if first < 1 else "S1", "confidence": 0.9}
        for text, first, last in heard
    ]


JSON: dict[str, object] = {
    "whisper": {
        "text": " Hi.",
        "language": "en",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 2.5,
                "text": " Hi there. Well no?",
                "speaker": "S0",
                "words": _said(),
            },
            {"id": 1, "offsets": {"from": 2500, "to": 3000}, "text": "Zoë", "start": 2.5, "end": 3},
        ],
    },
    "whispercpp": {
        "systeminfo": "x",
        "result": {"language": "en"},
        "transcription": [
            {
                "timestamps": {"from": "00:00:00,000", "to": "00:00:02,500"},
                "offsets": {"from": 0, "to": 2500},
                "text": " [SPEAKER 1] hi",
                "tokens": [{"text": " hi", "offsets": {"from": 0, "to": 2500}}],
            },
            {"offsets": {"from": 2500, "to": 4000}, "text": " (speaker ?) no", "speaker": "?"},
        ],
    },
    "chunks": {
        "text": "Hi there",
        "chunks": [
            {"text": " Hi", "timestamp": [0.0, 1.2]},
            {"text": " there", "timestamp": [1.2, None]},
        ],
    },
    "segments": [{"start": 0, "end": 1, "text": "Hi", "speaker": "A"}, {"start": 1, "end": 2, "text": "Yo"}],
    "deepgram": {
        "metadata": {"duration": 3},
        "results": {
            "channels": [{"alternatives": [{"transcript": "hi there", "confidence": 0.9, "words": _said()}]}],
            "utterances": [
                {"start": 0.1, "end": 0.9, "transcript": "hi there", "speaker": 0, "channel": 0, "words": _said()}
            ],
        },
    },
    "assemblyai": {
        "status": "completed",
        "text": "Hi",
        "utterances": [
            {
                "speaker": "A",
                "start": 100,
                "end": 900,
                "text": "Hi.",
                "confidence": 0.9,
                "words": [{"text": "Hi.", "start": 100, "end": 900, "confidence": 0.9, "speaker": "A"}],
            },
            {"speaker": "B", "start": 1500, "end": 2400, "text": "Well no?", "confidence": 0.8},
        ],
    },
    "aws": {
        "jobName": "x",
        "status": "COMPLETED",
        "results": {
            "transcripts": [{"transcript": "Hi. No"}],
            "speaker_labels": {
                "speakers": 2,
                "segments": [
                    {
                        "start_time": "0.1",
                        "end_time": "0.9",
                        "speaker_label": "spk_0",
                        "items": [{"start_time": "0.1", "end_time": "0.4", "speaker_label": "spk_0"}],
                    }
                ],
            },
            "items": [
                {
                    "type": "pronunciation",
                    "start_time": "0.1",
                    "end_time": "0.4",
                    "speaker_label": "spk_0",
                    "alternatives": [{"confidence": "0.9", "content": "Hi"}],
                },
                {"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": "."}]},
                {
                    "type": "pronunciation",
                    "start_time": "1.1",
                    "end_time": "1.4",
                    "speaker_label": "spk_1",
                    "alternatives": [{"confidence": "0.9", "content": "No"}],
                },
            ],
        },
    },
    "google": {
        "results": [
            {
                "alternatives": [
                    {
                        "transcript": "Hi there",
                        "words": [
                            {"startTime": "0.100s", "endTime": "0.400s", "word": "Hi", "speakerTag": 1},
                            {"startTime": "0.400s", "endTime": "0.900s", "word": "there", "speakerTag": 2},
                        ],
                    }
                ],
                "languageCode": "en-us",
            }
        ]
    },
    "azure": {
        "recognizedPhrases": [
            {
                "recognitionStatus": "Success",
                "speaker": 1,
                "offset": "PT0.1S",
                "duration": "PT1S",
                "offsetInTicks": 1000000,
                "durationInTicks": 10000000,
                "nBest": [{"display": "Hi there.", "words": []}],
            }
        ]
    },
    "revai": {
        "monologues": [
            {
                "speaker": 0,
                "elements": [
                    {"type": "text", "value": "Hi", "ts": 0.1, "end_ts": 0.4, "confidence": 1},
                    {"type": "punct", "value": "."},
                ],
            }
        ]
    },
    "speechmatics": {
        "format": "2.9",
        "results": [
            {"type": "word", "start_time": 0.1, "end_time": 0.4, "alternatives": [{"content": "Hi", "speaker": "S1"}]},
            {
                "type": "punctuation",
                "start_time": 0.4,
                "end_time": 0.4,
                "alternatives": [{"content": ".", "speaker": "S1"}],
            },
        ],
    },
    "elevenlabs": {
        "language_code": "en",
        "text": "Hi no",
        "words": [
            {"text": "Hi", "type": "word", "start": 0.1, "end": 0.4, "speaker_id": "speaker_0"},
            {"text": " ", "type": "spacing", "start": 0.4, "end": 0.5, "speaker_id": "speaker_0"},
            {"text": "no", "type": "word", "start": 0.5, "end": 0.9, "speaker_id": "speaker_1"},
        ],
    },
    "youtube": {
        "wireMagic": "pb3",
        "events": [
            {"tStartMs": 0, "dDurationMs": 2000, "segs": [{"utf8": "Hi"}, {"utf8": " there", "tOffsetMs": 300}]},
            {"tStartMs": 1000, "dDurationMs": 2000, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        ],
    },
}
"""Speech to text as its programs and services write it; a shape that is not read is refused, damaged or not."""

TRANSCRIPTS: dict[str, bytes] = {
    "long.TextGrid": TEXTGRID.encode(),
    "utf16.TextGrid": TEXTGRID.encode("utf-16"),
    "words.TextGrid": WORDS.encode(),
    "talk.eaf": EAF.encode(),
    **{f"{name}.json": json.dumps(value, indent=1).encode() for name, value in JSON.items()},
    "words.ctm": b";; c\ntalk 1 0.1 0.2 so 0.9\ntalk 2 0.4 0.2 what NA lex Bob\ntalk 1 * * <ALT_BEGIN>\ntalk 1 9 1 x\n",
    "turns.rttm": b"SPEAKER talk 1 0.1 2 <NA> <NA> Anna <NA> <NA>\nSPEAKER talk 1 1.5 2 <NA> <NA> Bob <NA>\n",
    "talk.vtt": b"WEBVTT\n\nSTYLE\n::cue {}\n\n00:01.000 --> 00:02.000\n"
    b"<v Anna><c.emotion.joy>[x]</c>Hi &amp; <i>o</i>\n\n"
    b"00:02.000 --> 00:03.000 align:start\n- a\n- b\n",
    "rolling.vtt": b"WEBVTT\nKind: captions\nLanguage: en\n\n00:00:00.000 --> 00:00:02.000\n"
    b"so<00:00:00.500><c> what</c>\n\n"
    b"00:00:02.000 --> 00:00:02.010\nso what\n\n00:00:02.010 --> 00:00:04.000\nso what\nis<00:00:03.000><c> it</c>\n",
    "talk.srt": "1\n00:00:01,000 --> 00:00:02,000\nANNA: naïve\n- b\n\n2\n00:00:03,000 --> 00:00:04,000\n\n".encode(
        "cp1252"
    ),
    "cyrillic.srt": (
        "1\n00:00:01,000 --> 00:00:02,000\nАня: Привет, как твои дела сегодня?\n\n2\n00:00:02,500 --> 00:00:04,000\n"
        "Боря: Спасибо, у меня всё хорошо, а что нового на работе?\n\n3\n00:00:04,500 --> 00:00:07,000\n"
        "Аня: Вчера мы наконец закончили большой проект, и теперь все очень довольны.\n"
    ).encode("cp1251"),
    "talk.csv": b'id,speaker,text,start,end\n1,Anna,"a, ""b""",0.5,00:00:02.5\n2,Bob,c,,\n',
    "talk.tsv": b'start\tend\ttext\n0\t1500\tShe said "no\n1500\t2750\tand left"\n',
    "semicolon.csv": 'Name;Text;Begin;End\nZoë;so;0,5;1,5\nBen;"a;\nb";1,5;2\n'.encode(),
    "audacity.txt": b"0.000000\t1.500000\tAnna: hi\n1.500000\t2.750000\tyes\n\\\t100.0\t200.0\n",
    "elan.txt": b"Anna\t\t00:00:00.500\t0.5\t00:00:01.500\t1.5\t00:00:01.000\t1.0\tso\n"
    b"Ben\t\t00:00:02.000\t2.0\t00:00:03.0\t3\t1\t1\tno\n",
    "talk.jsonl": b'{"id": 1, "speaker": "Anna", "text": "Hi \\u00e9", "start": 1.5, "end": null}\n{"text": ""}\n',
    "talk.txt": "Anna: naïve\nand so on\n\nBob：ok\n".encode(),
    "zoom.txt": b"[Anna Lee] 10:01:02\nHello there\n\n[Ben] 10:01:09\nHi\n",
    "times.txt": b"[00:00:01] Anna: hello\n[00:00:03] Ben: hi\n(00:05) Anna: bye\n",
    "headed.txt": b"Anna Lee  0:03\nHello there\n\nBen Doe  0:09\nHi\n",
}
"""Name → content."""
