"""A recording in: who said what when, its features, and with them the emotion of each utterance.

What takes long — transcribing, looking at faces — is stored while it is done, and a run that was killed is resumed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import IncompatibleError, InputError, MissingExtraError
from broadmamba.features.audio import load_audio
from broadmamba.features.extract_recording import extract_recording
from broadmamba.features.parts import clear_parts
from broadmamba.features.video import load_video
from broadmamba.features.workers import Load
from broadmamba.media.recording import Recording
from broadmamba.media.spans import Span, spans_of
from broadmamba.media.speech import SpeechBlock, SpeechRecognizer
from broadmamba.media.tracks import DEFAULT_SOUND, SoundChoice
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.turns import assign_speakers
from broadmamba.media.utterances import spoken_conversation
from broadmamba.media.voices import find_turns, renumber_voices
from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.storage import read_jsonl, write_jsonl

Progress = Callable[[str, float, float], None]
"""Told what is done at the moment, how much of it is done, and how much that is in all."""

_SPEECH = "speech-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """How a recording becomes a conversation.

    Attributes:
        transcript: what was said, or the file to read it from; None has it transcribed by a speech model.
        speech_model: folder or name of a Whisper model, see `SpeechRecognizer.load`.
        language: spoken in the recording, such as `en`; None finds out.
        speakers: how many there are, where the transcript does not name them; None finds out.
        sound: which of the recording's tracks and channels is used.
    """

    transcript: Conversation | Path | None = None
    speech_model: str = "base"
    language: str | None = None
    speakers: int | None = None
    sound: SoundChoice = DEFAULT_SOUND


def predict_recording(
    recognizer: Recognizer,
    path: Path,
    work: Path,
    listening: Listening = Listening(),
    *,
    workers: int = 1,
    weights: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> ConversationPrediction:
    """Recognise the emotions of a recording.

    Args:
        recognizer: the model; the modalities that it reads are used as far as the recording has them.
        path: of the recording.
        work: folder in which finished stages are kept; what an earlier run left there is used. It is the caller's to
            clear (`clear_work`) once the prediction is where it should be.
        listening: how the recording becomes a conversation.
        workers: processes for audio and video.
        weights: of the video feature's network, where it has none of its own.
        progress: told how far the work is.

    What the user should know (utterances without sound or faces, and why; parts that are not installed; tracks and
    channels) is told in warnings.

    Raises:
        InputError: the recording or the transcript cannot be used, or the transcript is of another recording.
        MissingExtraError: an optional part is needed, and the model cannot do without; the message says which.
        IncompatibleError: the model reads a feature that cannot be made here.
    """
    with Recording.open(path, listening.sound) as recording:
        duration = recording.duration
        specs = recognizer.bundle.features
        loaders = _loaders(specs, recording, weights)
        conversation, spans = listen(recording, work, listening, progress)
        sound = recording.heard if any(spans) else listening.sound
        _tell_of_recording(recording, specs)
    features: dict[str, Feature] = {}
    for name, load in loaders.items():
        tell = partial(progress, f"Extracting {name}")
        features[name], reasons = extract_recording(spans, path, sound, load, work, workers, tell)
        _tell_of_gaps(features[name], reasons, spans)
    progress("Recognising", 0, 1)
    prediction = recognizer.predict(conversation, features)
    progress("Recognising", 1, 1)
    return replace(prediction, recording=path.resolve(), duration=duration)


def listen(
    recording: Recording, work: Path, listening: Listening, progress: Progress
) -> tuple[Conversation, list[Span | None]]:
    """Who says what when: out of the transcript or, where there is none, out of the sound.

    A conversation whose turns have no speakers gets them from the voices, if the extra `recording` is there.

    Returns:
        The conversation, and where in the recording each utterance is.
    """
    if listening.transcript is not None:
        given = listening.transcript
        conversation = given if isinstance(given, Conversation) else read_transcript(given)
        conversation.check_times()
        spans = spans_of(conversation, recording)
        if not any(spans):
            _log.warning("the transcript has no times: sound and pictures cannot be used, only the words are")
            return conversation, spans
        if any(u.speaker is not None for u in conversation) or not recording.has_audio:
            return conversation, spans
        spoken = sorted(span for span in spans if span is not None)
        try:
            turns = find_turns(recording, spoken, listening.speakers, partial(progress, "Finding who speaks"))
        except MissingExtraError as error:
            _log.warning("the transcript names no speakers, and they cannot be told by their voices: %s", error)
            return conversation, spans
        return renumber_voices(assign_speakers(conversation, turns)), spans
    blocks = _transcribe(recording, work, listening, progress)
    if not any(block.words for block in blocks):
        clear_work(work)  # another try would find the same
    speech = [span for block in blocks for span in block.speech]
    turns = find_turns(recording, speech, listening.speakers, partial(progress, "Finding who speaks"))
    conversation = renumber_voices(spoken_conversation(recording, blocks, turns))
    return conversation, spans_of(conversation, recording)


def _tell_of_recording(recording: Recording, features: Mapping[str, Sequence[FeatureSpec]]) -> None:
    """Warn of what is not as it seems, or not there."""
    for words in recording.remarks:
        _log.warning("%s: %s", recording.path, words)
    if features.get("audio") and not recording.has_audio:
        _log.warning("%s has no sound: its utterances are labelled without it", recording.path)


def _tell_of_gaps(feature: Feature, reasons: Mapping[int, str], spans: Sequence[Span | None]) -> None:
    """Warn of utterances that are labelled without a feature."""
    name, total = feature.spec.name, len(spans)
    if reasons:
        counted = "; ".join(f"{times} × {reason}" for reason, times in Counter(reasons.values()).most_common())
        _log.warning("%d of %d utterances are labelled without %s: %s", len(reasons), total, name, counted)
    missing = feature.missing()
    nothing = sum(bool(missing[row]) for row, span in enumerate(spans) if span is not None and row not in reasons)
    if nothing:
        what = "nothing is to be heard" if feature.spec.modality == "audio" else "no face is to be seen"
        _log.warning("%d of %d utterances are labelled without %s: %s in them", nothing, total, name, what)


def _transcribe(recording: Recording, work: Path, listening: Listening, progress: Progress) -> Sequence[SpeechBlock]:
    """All blocks of a recording, each stored when it was transcribed."""
    state = recording.path.stat()
    sound = recording.heard
    decisive = [recording.path.name, state.st_size, state.st_mtime_ns, listening.speech_model, listening.language]
    decisive += [sound.track, sound.channels]
    file = work / f"{_SPEECH}{hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]}.jsonl"
    blocks = [SpeechBlock.from_dict(row) for _, row in read_jsonl(file)] if file.is_file() else []
    recognizer = SpeechRecognizer.load(listening.speech_model)
    for block in recognizer.blocks(recording, listening.language, blocks):
        blocks.append(block)
        write_jsonl(file, (one.to_dict() for one in blocks))
        progress("Transcribing", block.end, recording.duration or block.end)
    return blocks


def clear_work(work: Path) -> None:
    """Remove what `predict_recording` kept, and the folder if nothing else is in it."""
    clear_parts(work)
    for stored in (*work.glob(f"{_SPEECH}*"), *work.glob(f".{_SPEECH}*")):  # the latter a kill may leave
        stored.unlink()
    with suppress(OSError):
        work.rmdir()


def _loaders(
    features: Mapping[str, Sequence[FeatureSpec]], recording: Recording, weights: Path | None
) -> dict[str, Load]:
    """What makes each audio and video feature of the model that the recording has a stream for.

    A modality that needs a part which is not installed is left out, with a warning, if the model reads another.

    Raises:
        IncompatibleError: nothing here makes a feature that the model reads.
        MissingExtraError: a part is not installed, and without it there is nothing that the model reads.
    """
    streams = {"audio": recording.has_audio, "video": recording.has_video}
    loaders: dict[str, Load] = {}
    lacking: dict[str, MissingExtraError] = {}
    for modality, there in streams.items():
        specs = features.get(modality, ()) if there else ()
        try:
            loaders |= {spec.name: _loader(spec, weights) for spec in specs}
        except MissingExtraError as error:
            lacking[" and ".join(spec.name for spec in specs)] = error
    if lacking and not loaders and not features.get("text"):
        raise next(iter(lacking.values()))
    for names, reason in lacking.items():
        _log.warning("%s is labelled without %s: %s", recording.path, names, reason)
    return loaders


def _loader(spec: FeatureSpec, weights: Path | None) -> Load:
    """What makes a feature.

    Raises:
        IncompatibleError: nothing here makes it.
        MissingExtraError: what makes it is not installed.
    """
    load: Load = partial(load_audio, spec.name) if spec.modality == "audio" else partial(load_video, spec.name, weights)
    try:
        made = load().spec
    except InputError as error:
        raise IncompatibleError(f"the model reads {spec.describe()}, made nowhere here: {error}") from None
    if (made.width, made.sha256) != (spec.width, spec.sha256):
        raise IncompatibleError(f"the model reads {spec.describe()}, what is made here is {made.describe()}")
    return load
