"""What ELAN and Praat get, held against praatio, Praat itself, pympi and our own readers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname
from xml.etree import ElementTree

import parselmouth
import pytest
from hypothesis import given, settings
from praatio import textgrid
from pympi.Elan import Eaf
from timed_predictions import LABELS, conversations, lines, predict

from broadmamba.data.conversation import Utterance
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
from broadmamba.recognition.tiers import eaf_text, textgrid_text

WRITERS = {"talk.TextGrid": textgrid_text, "talk.eaf": eaf_text}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiers")


def write(folder: Path, name: str, prediction) -> Path:
    path = folder / name
    path.write_text(WRITERS[name](prediction), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_is_read_as_the_same_conversation(folder, name):
    @settings(max_examples=80, deadline=None)
    @given(conversations(apart=True))
    def check(prediction):
        assert lines(read_transcript(write(folder, name, prediction))) == lines(prediction)

    check()


def intervals_of(folder, prediction):
    """Tier name to labelled intervals, as Praat reads them."""
    path = write(folder, "talk.TextGrid", prediction)
    grid = parselmouth.read(str(path))
    call = parselmouth.praat.call
    tiers = []
    for tier in range(1, call(grid, "Get number of tiers") + 1):
        spans = range(1, call(grid, "Get number of intervals", tier) + 1)
        found = [
            (
                round(call(grid, "Get start time of interval", tier, span) * 1000),
                round(call(grid, "Get end time of interval", tier, span) * 1000),
                call(grid, "Get label of interval", tier, span),
            )
            for span in spans
        ]
        tiers.append((call(grid, "Get tier name", tier), found))
    return tiers


@settings(max_examples=40, deadline=None)
@given(prediction=conversations(apart=False))
def test_praat_reads_tiers_without_gaps_or_overlaps_and_no_text_is_lost(folder, prediction):
    tiers = intervals_of(folder, prediction)
    for (name, said), (below, felt), (last, sure) in zip(tiers[::3], tiers[1::3], tiers[2::3], strict=True):
        assert (below, last) == (f"{name}-emotion", f"{name}-probability")
        assert [(a, b) for a, b, _ in said] == [(a, b) for a, b, _ in felt] == [(a, b) for a, b, _ in sure]
        assert said[0][0] == 0 and said[-1][1] == tiers[0][1][-1][1]
        assert all(a < b for a, b, _ in said)
        assert [b for _, b, _ in said[:-1]] == [a for a, _, _ in said[1:]]
        assert [label.count("/") for *_, label in felt] == [chance.count("/") for *_, chance in sure]
    spoken = " ".join(label for _, said in tiers[::3] for _, _, label in said)
    wanted = " ".join(item.utterance.text for item in prediction)
    assert sorted(spoken.replace("/", " ").split()) == sorted(wanted.replace("/", " ").split())
    felt = [label for _, felt in tiers[1::3] for _, _, label in felt if label]
    assert len(felt) == len({(i.utterance.speaker, i.utterance.start) for i in prediction})


@settings(max_examples=20, deadline=None)
@given(prediction=conversations(apart=True))
def test_praat_reads_the_probability_of_each_emotion(folder, prediction):
    tiers = intervals_of(folder, prediction)
    found = sorted(
        (start, label, chance)
        for (_, felt), (_, sure) in zip(tiers[1::3], tiers[2::3], strict=True)
        for (start, _, label), (*_, chance) in zip(felt, sure, strict=True)
        if label
    )
    assert found == sorted((round(i.utterance.start * 1000), i.label, f"{i.probability:.2f}") for i in prediction)


@settings(max_examples=40, deadline=None)
@given(prediction=conversations(apart=True))
def test_praatio_reads_the_same_intervals_as_praat(folder, prediction):
    tiers = intervals_of(folder, prediction)
    grid = textgrid.openTextgrid(str(folder / "talk.TextGrid"), includeEmptyIntervals=True, duplicateNamesMode="rename")
    for (name, said), read in zip(tiers, grid.tiers, strict=True):
        assert read.name.startswith(name)
        assert [(round(e.start * 1000), round(e.end * 1000), e.label) for e in read.entries] == said


@settings(max_examples=40, deadline=None)
@given(prediction=conversations(apart=True))
def test_pympi_reads_speakers_and_the_emotions_that_depend_on_them(folder, prediction):
    eaf = Eaf(str(write(folder, "talk.eaf", prediction)))
    found = []
    for name, (aligned, _, attributes, _) in eaf.tiers.items():
        if "PARENT_REF" in attributes:
            assert not aligned
            continue
        felt, sure = (eaf.tiers[name + suffix] for suffix in ("-emotion", "-probability"))
        assert (felt[2]["PARENT_REF"], sure[2]["PARENT_REF"]) == (name, name + "-emotion")
        emotions = {reference: (key, label) for key, (reference, label, *_) in felt[1].items()}
        chances = {reference: chance for reference, chance, *_ in sure[1].values()}
        assert len(aligned) == len(emotions) == len(chances)
        for key, (first, last, text, _) in aligned.items():
            emotion, label = emotions[key]
            span = eaf.timeslots[first], eaf.timeslots[last]
            found.append((attributes.get("PARTICIPANT"), text or "", *span, label, chances[emotion]))
    wanted = [
        (*line[:2], *(round(time * 1000) for time in line[2:]), item.label, f"{item.probability:.2f}")
        for line, item in zip(lines(prediction), prediction, strict=True)
    ]
    assert sorted(found, key=lambda entry: entry[2]) == wanted


@settings(max_examples=40, deadline=None)
@given(prediction=conversations(apart=False))
def test_the_structure_is_the_one_of_the_schema(prediction):
    root = ElementTree.fromstring(eaf_text(prediction, Path("clip.mp4")))
    order = [
        "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY",
    ]  # fmt: skip
    assert list(dict.fromkeys(child.tag for child in root)) == order
    times = [int(slot.get("TIME_VALUE")) for slot in root.find("TIME_ORDER")]
    assert times == sorted(times)
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert len(slots) == len(times)
    tiers = [tier.get("TIER_ID") for tier in root.iter("TIER")]
    assert len(set(tiers)) == len(tiers)
    types = {kind.get("LINGUISTIC_TYPE_ID"): kind for kind in root.iter("LINGUISTIC_TYPE")}
    assert types["emotion"].get("CONSTRAINTS") in {kind.get("STEREOTYPE") for kind in root.iter("CONSTRAINT")}
    assert types["emotion"].get("CONTROLLED_VOCABULARY_REF") == root.find("CONTROLLED_VOCABULARY").get("CV_ID")
    entries = {entry.get("CVE_ID"): entry[0].text for entry in root.iter("CV_ENTRY_ML")}
    assert list(entries.values()) == list(LABELS)
    ids = [a.get("ANNOTATION_ID") for a in root.iter() if a.tag.endswith("_ANNOTATION")]
    assert len(set(ids)) == len(ids) and {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} == set(types)
    assert int(root.find("HEADER/PROPERTY[@NAME='lastUsedAnnotationId']").text) == len(ids)
    for reference in root.iter("REF_ANNOTATION"):
        assert reference.get("ANNOTATION_REF") in ids
        label = reference.find("ANNOTATION_VALUE").text
        assert entries.get(reference.get("CVE_REF")) == (label if label in LABELS else None)
    for tier in root.iter("TIER"):
        end = 0
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            assert end <= slots[annotation.get("TIME_SLOT_REF1")] < slots[annotation.get("TIME_SLOT_REF2")]
            end = slots[annotation.get("TIME_SLOT_REF2")]


OVERLAPPING = predict(
    Utterance("1", "long", "Anna", 1.0, 9.0),
    Utterance("2", "cut in", "Anna", 2.0, 3.0),
    Utterance("3", "again", "Anna", 2.0, 4.0),
    Utterance("4", "point", "Bob", 5.0, 5.0),
    Utterance("5", "nobody", None, 0.5, 1.5),
)


@pytest.mark.parametrize("name", WRITERS)
def test_what_overlaps_is_cut_and_what_begins_together_is_joined(folder, name):
    assert lines(read_transcript(write(folder, name, OVERLAPPING))) == [
        (None, "nobody", 0.5, 1.5),
        ("Anna", "long", 1.0, 2.0),
        ("Anna", "cut in / again", 2.0, 4.0),
        ("Bob", "point", 5.0, 5.001),
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_unknown_and_impossible_times_are_left_out(folder, name):
    strange = [(None, 1.0), (1.0, None), (-1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))]
    left_out = [Utterance(str(n), "lost", "Anna", *times) for n, times in enumerate(strange)]
    kept = Utterance("kept", "kept", "Anna", 0.0, 400_000.0005)
    assert lines(read_transcript(write(folder, name, predict(*left_out, kept)))) == [("Anna", "kept", 0.0, 400_000.0)]
    with pytest.raises(InputError, match="talk: expected utterances with times"):
        WRITERS[name](predict(*left_out))


@pytest.mark.parametrize("name", WRITERS)
def test_control_characters_become_white_space(folder, name):
    prediction = predict(Utterance("1", "a\x00b\x1b[0m\ud800 c\ufffe", "An\rna\n", 0.0, 1.0))
    assert lines(read_transcript(write(folder, name, prediction))) == [("An na", "a b [0m c", 0.0, 1.0)]


def test_any_name_can_be_a_speakers_in_elan(folder):
    names = [
        "utterances",
        None,
        "utterances-emotion",
        "phones",
        "default",
        "Anna-emotion",
        "Anna",
        "A",
        "A-probability",
    ]
    spoken = [Utterance(str(n), "hm", name, n, n + 1) for n, name in enumerate(names)]
    conversation = read_transcript(write(folder, "talk.eaf", predict(*spoken)))
    assert [u.speaker for u in conversation] == names


@pytest.mark.parametrize(
    ("media", "url", "relative", "kind"),
    [
        ("/a b/clip ü.mp4", "file:///a%20b/clip%20%C3%BC.mp4", "./clip ü.mp4", "video/mp4"),
        ("clip  ü 100%.WAV", "./clip%20%20%C3%BC%20100%25.WAV", "./clip  ü 100%.WAV", "audio/x-wav"),
        ("../in/clip&.xyz", "../in/clip%26.xyz", "../in/clip&.xyz", "unknown"),
        ("a\udcffb\x01.wav", "./a%FFb%01.wav", "./a%FFb%01.wav", "audio/x-wav"),
    ],
)
def test_the_recording_is_linked(media, url, relative, kind):
    root = ElementTree.fromstring(eaf_text(OVERLAPPING, Path(media)))
    descriptor = root.find("HEADER/MEDIA_DESCRIPTOR")
    assert descriptor.attrib == {"MEDIA_URL": url, "RELATIVE_MEDIA_URL": relative, "MIME_TYPE": kind}
    assert ElementTree.fromstring(eaf_text(OVERLAPPING)).find("HEADER/MEDIA_DESCRIPTOR") is None


def test_the_link_to_a_recording_is_absolute_and_relative(folder):
    """As ELAN opens it: the URL unescaped, else the path from the file."""
    sound = folder / "sounds" / "ein Lärm.wav"
    sound.parent.mkdir()
    sound.write_bytes(b"RIFF")
    heard = replace(OVERLAPPING, recording=sound)
    for media, relative in ((Path("sounds/ein Lärm.wav"), "./sounds/ein Lärm.wav"), (None, "./ein Lärm.wav")):
        (folder / "linked.eaf").write_text(eaf_text(heard, media), encoding="utf-8")
        [descriptor] = Eaf(str(folder / "linked.eaf")).get_linked_files()
        assert descriptor["RELATIVE_MEDIA_URL"] == relative
        assert Path(url2pathname(urlsplit(descriptor["MEDIA_URL"]).path)) == sound
    assert (folder / "sounds/ein Lärm.wav").is_file()


@pytest.mark.parametrize(("duration", "end"), [(None, 5.001), (3.0, 5.001), (60.12345, 60.123)])
def test_a_textgrid_ends_where_the_sound_does(folder, duration, end):
    path = write(folder, "talk.TextGrid", replace(OVERLAPPING, duration=duration))
    grid = parselmouth.read(str(path))
    assert parselmouth.praat.call(grid, "Get end time") == end
    assert len(lines(read_transcript(path))) == 4


def test_of_one_emotion_that_shares_an_interval_the_higher_probability_stands(folder):
    first, second = predict(Utterance("1", "Oh", "Anna", 1.0, 2.0), Utterance("2", "no", "Anna", 1.0, 2.0))
    for label, chances in (("joy", "0.91"), ("anger", "0.70 / 0.91")):
        both = ConversationPrediction("talk", (first, replace(second, label=label, probability=0.912)), "m")
        assert chances in eaf_text(both) and chances in textgrid_text(both)


@pytest.mark.parametrize("name", WRITERS)
def test_time_grows_with_the_file_alone(name):
    """10 000 utterances of as many labels, which are no more work than few."""
    utterances = (Utterance(str(n), "hm", f"S{n % 5}", n * 2.0, n * 2 + 1.5) for n in range(10_000))
    labels = {f"label {n}": 0.5 for n in range(10_000)}
    items = tuple(
        UtterancePrediction(utterance, label, 0.5, labels if utterance.id == "0" else {label: 0.5}, {}, ())
        for utterance, label in zip(utterances, labels, strict=True)
    )
    begin = time.process_time()
    assert "label 9999" in WRITERS[name](ConversationPrediction("talk", items, "m"))
    assert time.process_time() - begin < 8


@pytest.mark.parametrize("name", WRITERS)
def test_a_long_recording_of_many_utterances_at_one_time(name):
    many = [Utterance(str(n), "hm", "Anna", 1.0, 2.0) for n in range(20_000)]
    assert WRITERS[name](predict(*many)).count("hm") == 20_000
