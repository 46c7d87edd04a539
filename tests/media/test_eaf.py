"""ELAN's files, held against pympi; and XML that attacks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pympi.Elan import Eaf

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.transcripts.silence import is_silence


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str | bytes, name: str = "talk.eaf") -> Conversation:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_transcript(path)

    return read


def said(conversation: Conversation) -> list[tuple[str | None, str, float | None, float | None]]:
    return [(u.speaker, u.text, u.start, u.end) for u in conversation]


def document(*tiers: str, slots: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT FORMAT="3.0">\n'
        f'<HEADER TIME_UNITS="milliseconds"/>\n<TIME_ORDER>{slots}</TIME_ORDER>\n{"".join(tiers)}'
        "</ANNOTATION_DOCUMENT>\n"
    )


def slots(*times: int | str | None) -> str:
    return "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{n}"/>' if t is None else f'<TIME_SLOT TIME_SLOT_ID="ts{n}" TIME_VALUE="{t}"/>'
        for n, t in enumerate(times, start=1)
    )


def tier(name: str, *annotations: tuple[int, int, str], more: str = "") -> str:
    inside = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}{a}" TIME_SLOT_REF1="ts{a}" TIME_SLOT_REF2="ts{b}">'
        f"\n  <ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>\n</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        for a, b, text in annotations
    )
    return f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="u" {more}>\n{inside}</TIER>\n'


# silence and numbers are in tests of their own
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Nd"], exclude_characters="￾￿"), max_size=20).filter(
    lambda text: not text.strip() or not is_silence(text)
)
annotations = st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**4), texts), min_size=1, max_size=6)
people = st.dictionaries(
    st.sampled_from(["Anna", 'B "b" <x>', "Zoë & co."]),
    st.tuples(st.none() | st.just("P. Lee"), annotations),
    min_size=1,
)


def test_what_pympi_writes_is_read(tmp_path):
    path = tmp_path / "talk.eaf"

    @settings(max_examples=60, deadline=None)
    @given(people)
    def check(people):
        written = Eaf()
        written.add_linguistic_type("child", constraints="Symbolic_Association", timealignable=False)
        wanted = []
        for name, (participant, annotations) in people.items():
            written.add_tier(name, part=participant)
            written.add_tier(f"{name}-gloss", ling="child", parent=name)
            position = 0
            for gap, length, text in annotations:
                start, position = position + gap, position + gap + length
                written.add_annotation(name, start, position, text)
                written.add_ref_annotation(f"{name}-gloss", name, start, "not said")
                wanted.append((participant or name, text.strip(), start / 1000, position / 1000))
        written.to_file(str(path))
        path.with_suffix(".bak").unlink(missing_ok=True)
        assert said(read_transcript(path)) == sorted(wanted, key=lambda entry: entry[2])

    check()


def test_a_file_with_everything_in_it(read):
    content = document(
        tier("Anna", (1, 2, " Hi &amp; &lt;bye&gt;\nnow &#233; "), (6, 7, "")),
        tier("B", (3, 4, "no start"), (2, 3, "no end"), more='PARTICIPANT="Bob B."'),
        tier("Anna-words", (1, 2, "Hi"), more='PARENT_REF="Anna"'),
        '<TIER TIER_ID="x" PARENT_REF="Anna"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r" ANNOTATION_REF="Anna1">'
        "<ANNOTATION_VALUE>joy</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>",
        tier("default", (4, 5, "who?")),
        slots=slots(0, 1500, None, 2500, 3000, 4000, 4001),
    )
    assert said(read(content)) == [
        ("Anna", "Hi & <bye>\nnow é", 0.0, 1.5),
        ("Bob B.", "no start", None, 2.5),
        ("Bob B.", "no end", 1.5, None),
        (None, "who?", 2.5, 3.0),
        ("Anna", "", 4.0, 4.001),
    ]


@pytest.mark.parametrize("name", ["talk.eaf", "talk.xml", "talk.txt", "talk"])
def test_the_content_decides_over_the_name(read, name):
    content = document(tier("Anna", (1, 2, "Hi")), slots=slots(0, 1500))
    assert said(read(content, name)) == [("Anna", "Hi", 0.0, 1.5)]
    assert said(read(content.encode("utf-16"), name)) == [("Anna", "Hi", 0.0, 1.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (document()[:-5], "line 5: expected well-formed XML, found unclosed token"),
        (document("<TIER>"), "line 5: expected well-formed XML, found mismatched tag"),
        (document("&nothing;"), "expected well-formed XML, found undefined entity"),
        (document(), "expected at least one utterance, found none"),
        ("<html></html>", "line 1: expected an ELAN file with the root ANNOTATION_DOCUMENT, found html"),
        ("no XML", "line 1: expected well-formed XML, found syntax error"),
        (
            document().replace("milliseconds", "PAL-frames"),
            "line 3: expected times in milliseconds, found 'PAL-frames'",
        ),
        (document(tier("A", (1, 9, "x")), slots=slots(0)), "line 6: expected a known time slot, found 'ts9'"),
        (document(tier("A", (1, 2, "x")), slots=slots(5, 4)), "line 6: expected an end at 0.005 s or later"),
        (document(slots=slots("-5")), "line 4: expected a time in whole milliseconds, 0 or later, found '-5'"),
        (document(slots=slots("1.5")), "line 4: expected a time in whole milliseconds, 0 or later, found '1.5'"),
        (document(slots=slots("9" * 5000)), "expected a time in whole milliseconds, 0 or later, found '999"),
        (document(slots='<TIME_SLOT TIME_VALUE="1"/>'), "line 4: expected an attribute TIME_SLOT_ID, found none"),
        (document(tier("A", (1, 1, "")).replace("TIME_SLOT_REF2", "x")), "expected an attribute TIME_SLOT_REF2"),
        (document("<a>" * 40 + "</a>" * 40), "found XML more than 32 elements deep"),
    ],
)
def test_damaged_files(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    assert message in str(error.value)
    assert "talk.eaf" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 400


LAUGHS = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "attack",
    [
        f"<!DOCTYPE x [{LAUGHS}]>\n" + document(tier("A", (1, 2, "&a11;"))),
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>\n' + document(tier("A", (1, 2, "&f;"))),
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">\n' + document(),
        "<!DOCTYPE x [" + "<!ELEMENT a (b)>" * 100_000 + "]>\n" + document(),
    ],
)
def test_attacks_are_refused_at_once(read, attack, no_network):
    begin = time.process_time()
    with pytest.raises(InputError, match="document type, which may hide an attack"):
        read(attack.replace('<?xml version="1.0" encoding="UTF-8"?>\n', ""))
    assert time.process_time() - begin < 1
    assert no_network == []
