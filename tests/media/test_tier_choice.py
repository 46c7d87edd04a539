"""Which tiers hold speech, in templates of FLEx, Toolbox, ELAN, MFA, BAS, SPPAS and EasyAlign; and `tiers=`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid
from pympi.Elan import Eaf

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.transcripts.tier_names import (
    NOTES,
    REFERENCES,
    SOUNDS,
    UNSURE,
    UTTERANCES,
    WORDS,
    are_references,
    kind_of_type,
    read_name,
)

Said = list[tuple[str | None, str, float | None, float | None]]

UTTERANCE_TIMES = ((500, 1700), (2000, 4250))
TEXTS = ("Where did it go?", "It went up the hill.")
SAID = [("where", "did", "it", "go"), ("it", "went", "up", "the", "hill")]


def said(conversation: Conversation) -> Said:
    return [(u.speaker, u.text, u.start, u.end) for u in conversation]


def expected(speaker: str | None, texts: tuple[str, ...] = TEXTS) -> Said:
    return [(speaker, text, a / 1000, b / 1000) for text, (a, b) in zip(texts, UTTERANCE_TIMES, strict=True)]


class Template:
    """An ELAN file, written by pympi."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.eaf = Eaf()
        self.eaf.remove_tier("default")
        self.eaf.add_linguistic_type("association", "Symbolic_Association", timealignable=False)
        self.eaf.add_linguistic_type("subdivision", "Symbolic_Subdivision", timealignable=False)
        self.eaf.add_linguistic_type("included", "Included_In")

    def top(self, name: str, texts, participant: str | None = None, type: str = "default-lt", times=UTTERANCE_TIMES):
        if type not in self.eaf.linguistic_types:
            self.eaf.add_linguistic_type(type)
        self.eaf.add_tier(name, type, part=participant, locale=None)
        for (a, b), text in zip(times, texts, strict=True):
            self.eaf.add_annotation(name, a, b, text)

    def below(self, name: str, parent: str, texts, participant: str | None = None, type: str = "association") -> None:
        if type not in self.eaf.linguistic_types:
            self.eaf.add_linguistic_type(type, "Symbolic_Association", timealignable=False)
        self.eaf.add_tier(name, type, parent, part=participant)
        for (a, b), text in zip(UTTERANCE_TIMES, texts, strict=True):
            if text is not None:
                self.eaf.add_ref_annotation(name, parent, (a + b) // 2, text)

    def parts(self, name: str, parent: str, texts) -> None:
        """Several annotations below each, one after another."""
        self.eaf.add_tier(name, "subdivision", parent)
        for (a, _), words in zip(UTTERANCE_TIMES, texts, strict=True):
            previous = None
            for word in words:
                self.eaf.add_ref_annotation(name, parent, a + 1, word, previous)
                previous = f"a{self.eaf.maxaid}"

    def read(self, **options) -> Conversation:
        self.eaf.to_file(str(self.path))
        self.path.with_suffix(".bak").unlink(missing_ok=True)
        return read_transcript(self.path, **options)


@pytest.fixture
def template(tmp_path: Path) -> Template:
    return Template(tmp_path / "hill.eaf")


@pytest.mark.parametrize("identifiers", [("FROG.014", "FROG.015"), ("7", "8"), ("Frog story 1", "Frog story 2")])
@pytest.mark.parametrize("participant", [None, "SW"])
def test_toolbox(template, identifiers, participant):
    template.top("ref@SW", identifiers, participant)
    template.below("ft@SW", "ref@SW", ("Wohin ging es?", "Den Berg hinauf."), participant)
    template.below("tx@SW", "ref@SW", TEXTS, participant)
    template.parts("mb@SW", "tx@SW", SAID)
    template.parts("ge@SW", "tx@SW", SAID)
    template.below("nt@SW", "ref@SW", ("loud", None), participant)
    assert said(template.read()) == expected("SW")


def test_two_speakers_and_references_that_a_type_alone_tells_of(template):
    template.top("K", ("K_1", "K_2"), "Kofi", "ref")
    template.below("K-text", "K", TEXTS, "Kofi", "text")
    template.top("W", ("W_1",), "Wanda", "ref", times=[(1800, 1900)])
    template.eaf.add_tier("W-text", "text", "W", part="Wanda")
    template.eaf.add_ref_annotation("W-text", "W", 1850, "Hm.")
    first, second = expected("Kofi")
    assert said(template.read()) == [first, ("Wanda", "Hm.", 1.8, 1.9), second]


def test_flex(template):
    template.top("A_interlinear-text", ("The hill",), times=[(0, 5000)])
    template.eaf.add_tier("A_phrase-segnum-en", "included", "A_interlinear-text")
    for number, (a, b) in enumerate(UTTERANCE_TIMES):
        template.eaf.add_annotation("A_phrase-segnum-en", a, b, f"{number + 1}")
    template.below("A_phrase-txt-qaa", "A_phrase-segnum-en", TEXTS)
    template.below("A_phrase-gls-en", "A_phrase-segnum-en", ("To where?", "To up."))
    template.parts("A_word-txt-qaa", "A_phrase-segnum-en", SAID)
    template.parts("A_morph-txt-qaa", "A_phrase-segnum-en", SAID)
    assert said(template.read()) == expected("A")


@pytest.mark.parametrize(
    ("child", "speaker"),
    [
        ("Ana-orthography", "Ana"),
        ("utterance", "Seg"),
        ("orth@Ana", "Ana"),
        ("tx-sje@Ana", "Ana"),
        ("Transcription (Ana)", "Ana"),
        ("énoncés", "Seg"),
        ("a layer of any name", "Seg"),
    ],
)
def test_a_topmost_tier_without_text(template, child, speaker):
    template.top("Seg", ("", ""))
    template.below(child, "Seg", TEXTS)
    template.below("Ana-translation", child, ("x", "y"))
    assert said(template.read()) == expected(speaker)


def test_one_text_throughout_divides_and_words_below_are_spoken(template):
    template.top("Ana", ("seg", "seg"))
    template.below("Ana-translation", "Ana", ("x", "y"))
    assert said(template.read()) == expected("Ana", ("seg", "seg"))
    template.below("Ana-utterance", "Ana", TEXTS)
    assert said(template.read()) == expected("Ana")


def test_words_below_references_are_joined(template):
    template.top("ref", ("s1", "s2"), "Ana")
    template.parts("words", "ref", SAID)
    template.parts("pos", "ref", SAID)
    assert said(template.read()) == expected("Ana", tuple(" ".join(words) for words in SAID))
    assert said(template.read(tiers=["words"])) == said(template.read())


def test_words_with_times_below_references_keep_theirs(template):
    template.top("ref@Ana", ("s1", "s2"))
    template.eaf.add_tier("wd@Ana", "included", "ref@Ana")
    for a, b, word in [
        (600, 800, "so"),
        (800, 900, "<p:>"),
        (1000, 1200, "what"),
        (2000, 2100, "sil"),
        (3000, 3500, "hm"),
    ]:
        template.eaf.add_annotation("wd@Ana", a, b, word)
    assert said(template.read()) == [("Ana", "so what", 0.6, 1.2), ("Ana", "hm", 3.0, 3.5)]


def test_utterances_with_times_of_their_own_and_what_is_not_transcribed(template):
    template.top("ref@Ana", ("s1", "s2"))
    template.eaf.add_tier("tx@Ana", "included", "ref@Ana")
    template.eaf.add_annotation("tx@Ana", 2100, 2200, "Up.")
    template.below("ft@Ana", "ref@Ana", ("x", "y"))
    assert said(template.read()) == [("Ana", "Up.", 2.1, 2.2)]


@pytest.mark.parametrize("name", ["Ana-gesture", "gaze@Ana", "ft", "Phonemes", "notes", "stress", "Kommentar", "pos"])
def test_what_is_no_speech_is_never_said(template, name):
    template.top(name, ("up", "down"))
    template.below("a child", name, ("left", "right"))
    with pytest.raises(InputError, match=rf"found only {name}, a child; say with --tiers which hold speech"):
        template.read()
    template.top("Ben", TEXTS)
    assert said(template.read()) == expected("Ben")


def test_a_linguistic_type_tells_too(template):
    template.top("Ana", TEXTS)
    for name, type in [("Ana-R", "gesture_phases"), ("Ana-X", "Phonetic transcription"), ("Ana-Y", "part of speech")]:
        template.top(name, ("up", "down"), "Ana", type)
    assert said(template.read()) == expected("Ana")


def test_several_tiers_that_may_hold_the_speech_are_named(template):
    template.top("ref@A", ("A.1", "A.2"))
    template.below("one", "ref@A", TEXTS)
    template.below("two", "ref@A", ("Wo?", "Da!"))
    with pytest.raises(
        InputError, match="expected one tier that plainly holds the utterances of A, found one, two; say with --tiers"
    ):
        template.read()
    assert said(template.read(tiers=["two"])) == expected("A", ("Wo?", "Da!"))


def test_codes_below_are_no_speech(template):
    template.top("CHI", ("0.", "0."))
    template.below("vcm@CHI", "CHI", ("N", "C"))
    template.top("MOT", TEXTS)
    assert said(template.read()) == expected("MOT")
    template.top("ref@FAT", ("s.1", "s.2"))
    template.below("xds@FAT", "ref@FAT", ("T", "C"))
    with pytest.raises(InputError, match="plainly holds the utterances of FAT, found xds@FAT; say with --tiers"):
        template.read()


def test_references_alone_are_refused(template):
    template.top("ref@A", ("STORY_001", "STORY_002"))
    template.below("ft@A", "ref@A", ("x", "y"))
    with pytest.raises(InputError, match="expected a tier of utterances or words, found only ref@A, ft@A; say with"):
        template.read()


def document(*tiers: str) -> str:
    return (
        '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" '
        'TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="10"/></TIME_ORDER>\n' + "\n".join(tiers) + "\n"
        "</ANNOTATION_DOCUMENT>"
    )


TOP = (
    '<TIER TIER_ID="ref"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a0" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">'
    "<ANNOTATION_VALUE>s_01</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
)


def below(name: str, parent: str, number: int, refers: int, previous: str = "") -> str:
    return (
        f'<TIER TIER_ID="{name}" PARENT_REF="{parent}"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a{number}" '
        f'ANNOTATION_REF="a{refers}" {previous}><ANNOTATION_VALUE>Hello there.</ANNOTATION_VALUE></REF_ANNOTATION>'
        "</ANNOTATION></TIER>"
    )


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ((TOP, below("tx", "gone", 1, 0)), "line 3: expected a known parent tier, found 'gone'"),
        ((TOP, below("tx", "ref", 1, 9)), "line 3: expected a known annotation, found 'a9'"),
        ((TOP, below("tx", "tx", 1, 0)), "line 3: expected a tier that does not depend on itself, found 'tx'"),
        ((below("x", "y", 1, 2), below("y", "x", 2, 1)), "line 2: expected a tier that does not depend on itself"),
        ((TOP, below("x", "ref", 1, 2), below("y", "x", 2, 1)), "expected an annotation that does not refer to itself"),
        ((TOP, below("x", "ref", 1, 0, 'PREVIOUS_ANNOTATION="a1"')), "expected an annotation that does not refer to"),
        ((TOP, below("x", "ref", 1, 0, 'PREVIOUS_ANNOTATION="b"')), "line 3: expected a known annotation, found 'b'"),
        ((TOP, TOP.replace('_REF1="t1"', '_REF1="?"')), "line 3: expected a known time slot, found '?'"),
    ],
)
def test_tiers_and_annotations_that_hang_in_the_air(tmp_path, tiers, message):
    path = tmp_path / "talk.eaf"
    path.write_text(document(*tiers))
    with pytest.raises(InputError) as error:
        read_transcript(path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_long_chains(tmp_path):
    path = tmp_path / "talk.eaf"
    chain = [below("b1", "ref", 1, 0), *(below(f"b{n}", f"b{n - 1}", n, n - 1) for n in range(2, 2000))]
    path.write_text(document(TOP, *chain, below("tx@Ana", "b1999", 2000, 1999)))
    begin = time.process_time()
    assert said(read_transcript(path)) == [("Ana", "Hello there.", 0.0, 0.01)]
    many = "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="w{n}" ANNOTATION_REF="{f"w{n - 1}" if n else "a0"}">'
        f"<ANNOTATION_VALUE>x</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for n in range(20_000)
    )
    path.write_text(document(TOP, f'<TIER TIER_ID="tx" PARENT_REF="ref">{many}</TIER>'))
    assert [u.text.count("x") for u in read_transcript(path)] == [20_000]
    assert time.process_time() - begin < 10


def write_grid(path: Path, *tiers: tuple[str, list[tuple[float, float, str]]]) -> Path:
    written = textgrid.Textgrid()
    for name, intervals in tiers:
        written.addTier(textgrid.IntervalTier(name, intervals, 0, 10))
    written.save(str(path), "long_textgrid", includeBlankSpaces=True)
    return path


MEANT = [(0.0, 1.5, "No, wait!"), (1.5, 2.0, "All right.")]
SPOKEN = [(0.0, 0.5, "no"), (0.6, 1.5, "wait"), (1.5, 1.7, "all"), (1.7, 2.0, "right")]
HEARD = [(0.0, 0.2, "n"), (0.2, 0.5, "oʊ")]


@pytest.mark.parametrize(
    ("utterances", "words", "phones", "speaker"),
    [
        ("Mia - utterances", "Mia - words", "Mia - phones", "Mia"),
        ("utterances", "words", "phones", None),
        ("Mia_utterance", "Mia_word", "Mia_phone", "Mia"),
        ("utterances - Mia", "words - Mia", "phones - Mia", "Mia"),
        ("utterances (Mia)", "words (Mia)", "phones (Mia)", "Mia"),
        ("Mia [utterances]", "Mia [words]", "Mia [phones]", "Mia"),
        ("utterance_Mia", "word_Mia", "phone_Mia", "Mia"),
        ("Mia/utterance", "Mia/word", "Mia/phone", "Mia"),
        ("Mia utterances", "Mia words", "Mia phones", "Mia"),
        ("Mia’s utterances", "Mia's words", "Mia's phones", "Mia"),
        ("Sentence tier", "Word tier", "Phone tier", None),
        ("Mia", "Mia:words", "Mia:phones", "Mia"),
        ("TRN", "ORT-MAU", "MAU", None),
        ("ORT", "ORT-MAU", "KAN-MAU", None),
        ("transcription", "mots", "phonèmes", None),
        ("Äußerungen", "Wörter", "Laute", None),
        ("ortho", "words", "phono", None),
        ("Transcription", "TokensAlign", "PhonAlign", None),
        ("tx@Mia", "word@Mia", "ipa@Mia", "Mia"),
        ("SPEAKER_00", "SPEAKER_00 - words", "SPEAKER_00 - phones", "SPEAKER_00"),
    ],
)
def test_names_of_aligners_and_of_people(tmp_path, utterances, words, phones, speaker):
    path = write_grid(tmp_path / "a.TextGrid", (phones, HEARD), (words, SPOKEN), (utterances, MEANT))
    assert said(read_transcript(path)) == [(speaker, text, a, b) for a, b, text in MEANT]
    path = write_grid(tmp_path / "b.TextGrid", (words, SPOKEN), (phones, HEARD))
    assert said(read_transcript(path)) == [(speaker, "no wait all right", 0.0, 2.0)]
    path = write_grid(tmp_path / "c.TextGrid", (phones, HEARD))
    with pytest.raises(InputError, match=r"found only .*; say with --tiers which hold speech"):
        read_transcript(path)
    assert said(read_transcript(path, tiers=[phones])) == [(speaker, text, a, b) for a, b, text in HEARD]


def test_an_elan_file_that_became_a_textgrid(tmp_path):
    tiers = [("ref@Mia", ["x.01", "x.02"]), ("tx@Mia", ["No.", "Yes."]), ("ft@Mia", ["n", "j"]), ("Zoé", ["Oui !"] * 2)]
    made = [(name, [(a, b, text) for (a, b, _), text in zip(MEANT, texts, strict=True)]) for name, texts in tiers]
    assert said(read_transcript(write_grid(tmp_path / "a.TextGrid", *made))) == [
        ("Mia", "No.", 0.0, 1.5),
        ("Zoé", "Oui !", 0.0, 1.5),
        ("Mia", "Yes.", 1.5, 2.0),
        ("Zoé", "Oui !", 1.5, 2.0),
    ]


def test_one_speakers_speech_in_two_tiers_is_not_read_twice(tmp_path):
    path = write_grid(tmp_path / "a.TextGrid", ("Mia", MEANT), ("Mia_text", MEANT))
    with pytest.raises(
        InputError, match="expected one tier that plainly holds the utterances of Mia, found Mia, Mia_text; say with"
    ):
        read_transcript(path)
    assert said(read_transcript(path, tiers=["Mia_text"])) == [("Mia", text, a, b) for a, b, text in MEANT]


def test_a_tier_called_speaker_or_phone_may_be_a_persons(tmp_path):
    path = write_grid(tmp_path / "a.TextGrid", ("speaker", [(0.0, 1.5, "Mia"), (1.5, 2.0, "Jo")]), ("text", MEANT))
    assert said(read_transcript(path)) == [(None, text, a, b) for a, b, text in MEANT]
    path = write_grid(tmp_path / "a.TextGrid", ("Phone", MEANT))
    assert said(read_transcript(path)) == [("Phone", text, a, b) for a, b, text in MEANT]


def test_a_word_that_ends_before_it_begins_is_refused(tmp_path):
    path = write_grid(tmp_path / "a.TextGrid", ("words", SPOKEN))
    path.write_text(path.read_text().replace("xmax = 1.7", "xmax = 1.4"))
    with pytest.raises(InputError, match=r"line [0-9]+: expected an end at 1\.5 s or later, found 1\.4 s"):
        read_transcript(path)


def test_silence_in_tiers_of_utterances(tmp_path):
    spans = [(0.0, 1.0, "sil"), (1.0, 2.0, "Sil"), (2.0, 3.0, "<p:>"), (3.0, 4.0, "I <unk> it"), (4.0, 5.0, "<unk>")]
    path = write_grid(tmp_path / "a.TextGrid", ("Mia", [*spans, (5.0, 6.0, "[laughter]"), (6.0, 7.0, "(0.7)")]))
    assert [text for _, text, *_ in said(read_transcript(path))] == ["Sil", "I <unk> it", "[laughter]"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["notes"], {None}),
        (["notes,Jo"], {None, "Jo"}),
        (["notes", "Jo - gaze"], {None, "Jo"}),
        (["Jo, notes"], {"Jo, notes"}),
        ([" Jo ,Mia - words "], {"Jo", "Mia"}),
    ],
)
def test_tiers_that_are_asked_for(tmp_path, given, wanted):
    names = ["notes", "Jo", "Jo - gaze", "Jo, notes", "Mia - words"]
    path = write_grid(tmp_path / "a.TextGrid", *((name, [(0.0, 1.0, name)]) for name in names))
    assert {speaker for speaker, *_ in said(read_transcript(path, tiers=given))} == wanted


def test_tiers_that_cannot_be_given(tmp_path):
    path = write_grid(tmp_path / "a.TextGrid", ("Jo", MEANT), ("notes", []))
    with pytest.raises(InputError, match=r"a\.TextGrid: expected a tier 'Joe', found Jo, notes$"):
        read_transcript(path, tiers=["Jo,Joe"])
    with pytest.raises(InputError, match="expected at least one utterance, found none"):
        read_transcript(path, tiers=["notes"])
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHi\n")
    with pytest.raises(
        InputError, match=r"a\.srt: expected TextGrid, EAF or ELAN.s tab-delimited text, since .* found SRT"
    ):
        read_transcript(tmp_path / "a.srt", tiers=["Jo"])


@pytest.mark.parametrize(
    ("name", "speaker", "kind"),
    [
        ("Anna", "Anna", None),
        ("SPEAKER_01", "SPEAKER_01", None),
        ("Speaker 1", "Speaker 1", None),
        ("speech therapist", "speech therapist", None),
        ("note taker", "note taker", None),
        ("note-taker", "note-taker", None),
        ("phone-caller", "phone-caller", None),
        ("Head-Coach", "Head-Coach", None),
        ("gaze-Anna", "Anna", NOTES),
        ("PS", "PS", None),
        ("anna@example.org", "anna@example.org", None),
        ("Jo Word", "Jo Word", None),
        ("Dr. Text", "Dr. Text", None),
        ("default", None, UTTERANCES),
        ("speaker", None, UNSURE),
        ("MOT", "MOT", None),
        ("A_transcription_ortho", "A", UTTERANCES),
        ("\\tx", None, UTTERANCES),
        ("Speaker - words", "Speaker", WORDS),
        ("A_phrase-txt-xx-fonipa", "A", SOUNDS),
        ("CHI", "CHI", None),
        ("transcription-fr", None, UTTERANCES),
        ("A_word-gls-en", "A", NOTES),
        ("Anna - Maria - words", "Anna - Maria", WORDS),
        ("K-Spch", "K", UTTERANCES),
        ("gl-en@B", "B", NOTES),
        ("Free Translation", None, NOTES),
        ("ref", None, REFERENCES),
        ("A/syllables", "A", SOUNDS),
        ("x" * 10**6 + "-words", "x" * 10**6 + "-words", None),
    ],
)
def test_names(name, speaker, kind):
    assert read_name(name)[:2] == (speaker, kind)


def test_types():
    names = ["utterance", "words", "phonetic_transcription", "default-lt", "Parts of speech", "refT", "sign language"]
    assert [kind_of_type(name) for name in names] == [UTTERANCES, WORDS, SOUNDS, None, NOTES, None, None]


@given(st.text(max_size=30))
def test_any_name_can_be_read(name):
    speaker, kind, _ = read_name(name)
    assert kind is not None or speaker == name.strip()


def test_what_refers_to_utterances():
    for texts in (["a_001"], ["12", "13"], ["S1", "S2"], ["Tape 3", "Tape 4"], ["1.1", "1.2"], ["[1]", "[2]"], ["007"]):
        assert are_references(texts), texts
    for texts in ([], ["MP3"], ["42"], ["Hi", "5"], ["Room 4", "Room 2"], ["at 5", "by 6"], ["no 1."], ["2nd", "3rd"]):
        assert not are_references(texts), texts
    assert are_references(["w_1", "w_2"], words=True) and not are_references(["5", "6", "B2"], words=True)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_tiers_give_utterances_or_one_sentence(tmp_path_factory, data):
    """Trees of tiers with any names and texts."""
    known = ["ref@A", "tx@A", "A", "A-words", "ft", "mb@A", "B", "text", "A-emotion", "?"]
    names = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=6, unique=True))
    template = Template(tmp_path_factory.getbasetemp() / "any.eaf")
    for index, name in enumerate(names):
        parent = data.draw(st.sampled_from([None, *names[:index]]))
        texts = data.draw(st.sampled_from([("", ""), ("s_1", "s_2"), ("Oh!", "Right."), ("sil", "Oh!"), ("5", "6")]))
        if parent is None:
            template.top(name, texts)
        else:
            template.below(name, parent, texts)
    try:
        read = said(template.read())
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert all(a in (0.5, 2.0) and b in (1.7, 4.25) for _, _, a, b in read)
    never = {"s_1", "sil", *(() if "A-words" in names else ("6",))}  # as a word, a number may be said
    assert not never & {text for _, text, _, _ in read} or "A-emotion" in names


def test_a_text_that_is_divided_into_words(tmp_path):
    template = Template(tmp_path / "talk.eaf")
    template.top("\\ref@Ana", ["vase.001", "vase.002"])
    template.parts("\\tx@Ana", "\\ref@Ana", SAID)
    joined = expected("Ana", tuple(" ".join(words) for words in SAID))
    assert said(template.read()) == said(template.read(tiers=["\\tx@Ana"])) == joined


def test_small_words_beside_a_tier_of_text_may_be_codes(tmp_path):
    for name, base in (("Valence", "Speech"), ("W1-GestPhase", "W1-Spch")):
        template = Template(tmp_path / "talk.eaf")
        template.top(base, TEXTS)
        template.top(name, ["low", "high"])
        with pytest.raises(InputError, match=f"found {base}, {name}, of which {name} may hold codes"):
            template.read()
        assert said(template.read(tiers=[base])) == expected(None if base == "Speech" else "W1")


def test_small_words_of_people(tmp_path):
    template = Template(tmp_path / "talk.eaf")
    template.top("Ana", TEXTS)
    template.top("Ben", ["yes", "no"])
    assert sorted({speaker for speaker, *_ in said(template.read())}) == ["Ana", "Ben"]


def test_names_of_tiers_in_other_languages():
    names = ["слова", "фонемы", "перевод", "фразы", "parole", "句子", "woorden"]
    assert [read_name(name).kind for name in names] == [WORDS, SOUNDS, NOTES, UTTERANCES, WORDS, UTTERANCES, WORDS]
