"""Speech to text: a recording's words with their times, found block by block with a Whisper model.

Blocks are cut at silences, each is transcribed on its own, and each can be stored as JSON: work that was interrupted is
resumed after the last stored block with the very same result.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import near
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.media.recording import SAMPLE_RATE, Recording
from broadmamba.media.spans import Span

_log = logging.getLogger(__name__)

Array = NDArray[np.float32]

_LONGEST, _SHORTEST = 30.0, 5.0  # seconds of a block: Whisper hears 30 at a time
_PAUSE = 0.25  # seconds of silence that end a stretch of speech
_PADDING = 0.1  # seconds that the voice detector's stretches grow at either end, since it reacts late
_CONTEXT = 0.4  # seconds of silence that Whisper hears around speech; longer silences make it invent words
_QUIET = 0.05  # seconds over which the quietest moment is sought
_MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")  # one of them


@dataclass(frozen=True, slots=True)
class Word:
    """A transcribed word.

    Attributes:
        start: seconds from the start of the recording.
        end: seconds from the start of the recording.
        text: as it follows the previous word, so with a leading space in languages that have them.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class SpeechBlock:
    """The transcript of one part of a recording.

    Attributes:
        start: seconds from the start of the recording.
        end: where the next block starts.
        language: code such as `en`, or None where nobody has spoken so far.
        speech: starts and ends of stretches of speech without a pause, in seconds from the start of the recording.
        words: in the order of their starts.
    """

    start: float
    end: float
    language: str | None
    speech: tuple[Span, ...]
    words: tuple[Word, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **asdict(self),
            "speech": [list(span) for span in self.speech],
            "words": [asdict(w) for w in self.words],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave.

        Raises:
            InputError: the values are of another shape.
        """
        try:
            return cls(
                start=float(values["start"]),
                end=float(values["end"]),
                language=values["language"],
                speech=tuple((float(start), float(end)) for start, end in values["speech"]),
                words=tuple(Word(float(w["start"]), float(w["end"]), str(w["text"])) for w in values["words"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"expected a stored block of speech, found other values ({error!r})") from None


class SpeechRecognizer:
    """Finds the words of recordings with a Whisper model, on the CPU with 8-bit integers.

    Attributes:
        name: of the model, as it was asked for.
    """

    def __init__(self, name: str, model: Any) -> None:
        """Use a loaded `faster_whisper.WhisperModel`."""
        self.name = name
        self._model = model

    @classmethod
    def load(cls, model: str, threads: int = 0) -> Self:
        """Load a model.

        Args:
            model: folder of a Whisper model in CTranslate2's format, which is read without a network; or a name such
                as `base.en` or the Hugging Face id of such a model, which is downloaded unless it is in the cache.
            threads: of the processor, or 0 for `OMP_NUM_THREADS`, else at most four.

        Raises:
            InputError: there is no such model, it is damaged, or it cannot be downloaded.
            MissingExtraError: the extra `recording` is not installed.
        """
        try:
            from faster_whisper import WhisperModel, available_models
        except ImportError:
            raise MissingExtraError(
                "a recording without a transcript needs speech-to-text: pip install 'broadmamba[recording]', "
                "or pass a transcript"
            ) from None
        options = {"device": "cpu", "compute_type": "int8", "cpu_threads": threads}
        if Path(model).exists():
            _check_folder(Path(model))
            attempts = [{"local_files_only": True}]
        elif model in available_models() or model.count("/") == 1:
            attempts = [{"local_files_only": True}, {"local_files_only": False}]
        else:
            names = available_models()
            raise InputError(
                f"unknown speech model {model!r}{near(model, names)}: expected {', '.join(names)}, the folder of a "
                "Whisper model in CTranslate2's format, or the Hugging Face id of one"
            )
        reason = ""
        for attempt in attempts:
            if not attempt["local_files_only"]:
                _log.warning("the speech model %s is not in the cache: downloading it from Hugging Face", model)
            try:
                return cls(model, WhisperModel(model, **options, **attempt))
            except Exception as error:  # of CTranslate2, the tokenizer, the hub or its HTTP library
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if len(attempts) > 1:
            raise InputError(
                f"the speech model {model!r} is no folder here and could not be downloaded ({reason}); give "
                "the folder of a Whisper model in CTranslate2's format, or a transcript"
            )
        raise InputError(f"{model}: cannot be loaded as a Whisper model in CTranslate2's format ({reason})")

    def blocks(
        self, recording: Recording, language: str | None = None, done: Sequence[SpeechBlock] = ()
    ) -> Iterator[SpeechBlock]:
        """Transcribe a recording block by block; half a minute of it is in memory at a time.

        Args:
            recording: open.
            language: spoken in it, as a code such as `en`; None takes that of the first speech.
            done: blocks that were transcribed before, from the recording's start on; they are not transcribed again.

        Yields:
            The blocks after `done`. They cover the recording without a gap.

        Raises:
            InputError: the recording has no sound, cannot be decoded, or the model does not know the language.
        """
        if not recording.has_audio:
            raise InputError(f"{recording.path}: expected a recording with sound, found none to transcribe")
        known = self._model.supported_languages
        if language is not None and language not in known:
            raise InputError(f"speech model {self.name} knows no language {language!r}; known are {', '.join(known)}")
        start = done[-1].end if done else 0.0
        language = language or next((block.language for block in done if block.language), None)
        whole = False
        while not whole and len(samples := recording.audio(start, start + _LONGEST)):
            speech = find_speech(samples)
            whole = len(samples) < round(_LONGEST * SAMPLE_RATE)
            length = math.ceil(len(samples) / SAMPLE_RATE * 1000) / 1000 if whole else _cut(samples, speech)
            speech = [(first, min(last, length)) for first, last in speech if first < length]
            words, language = self._hear(samples[: round(length * SAMPLE_RATE)], speech, language)
            end = round(start + length, 3)
            yield SpeechBlock(
                start,
                end,
                language,
                speech=tuple((round(start + first, 3), round(start + last, 3)) for first, last in speech),
                words=tuple(Word(round(start + w.start, 3), round(start + w.end, 3), w.text) for w in words),
            )
            start = end

    def _hear(self, samples: Array, speech: Sequence[Span], language: str | None) -> tuple[list[Word], str | None]:
        """Words of a block in seconds from its start, and their language."""
        import ctranslate2

        if not speech:
            return [], language
        ctranslate2.set_random_seed(0)  # where Whisper is unsure it draws words by chance
        pieces = _with_context(speech, len(samples) / SAMPLE_RATE)
        sound = np.concatenate([samples[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in pieces])
        segments, found = self._model.transcribe(
            sound, language=language, word_timestamps=True, condition_on_previous_text=False
        )
        words = [
            Word(*_place((float(word.start), float(word.end)), pieces, speech), word.word)
            for segment in segments
            for word in segment.words
        ]
        return sorted(words, key=lambda word: word.start), found.language


def find_speech(samples: Array) -> list[Span]:
    """Stretches of speech without a pause, by the Silero voice detector of faster-whisper.

    Args:
        samples: `(samples,)` mono, 16 kHz.

    Returns:
        Starts and ends in seconds, ascending.

    Raises:
        MissingExtraError: the extra `recording` is not installed.
    """
    try:
        from faster_whisper.vad import VadOptions, get_speech_timestamps
    except ImportError:
        raise MissingExtraError("finding speech needs a voice detector: pip install 'broadmamba[recording]'") from None
    if not len(samples):
        return []
    options = VadOptions(min_silence_duration_ms=round(1000 * _PAUSE), speech_pad_ms=round(1000 * _PADDING))
    found = get_speech_timestamps(samples, options)
    return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in found]


def _check_folder(folder: Path) -> None:
    """Refuse what is no model; faster-whisper would fetch a missing tokenizer from the network."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected the folder of a Whisper model in CTranslate2's format, found a file")
    missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        found = f"found no {' and no '.join(missing)}"
        raise InputError(f"{folder}: expected the folder of a Whisper model in CTranslate2's format, {found}")


def _cut(samples: Array, speech: Sequence[Span]) -> float:
    """Where a block of full length ends: in its last silence, or in its quietest moment where there is none."""
    edges = [0.0, *(time for span in speech for time in span), _LONGEST]
    silences = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > _PAUSE / 2]
    middles = [(a + b) / 2 for a, b in silences if (a + b) / 2 >= _SHORTEST]
    if not speech:
        return _LONGEST
    if middles:
        return round(middles[-1], 3)
    frame = round(_QUIET * SAMPLE_RATE)
    power = np.square(samples[: len(samples) // frame * frame].reshape(-1, frame)).mean(axis=1)
    first = len(power) // 2
    return round((first + int(np.argmin(power[first:])) + 0.5) * _QUIET, 3)


def _with_context(speech: Sequence[Span], length: float) -> list[Span]:
    """The stretches with some of the silence around them; those that touch are one."""
    pieces: list[Span] = []
    for start, end in speech:
        start, end = max(0.0, start - _CONTEXT), min(length, end + _CONTEXT)
        if pieces and start <= pieces[-1][1]:
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces.append((start, end))
    return pieces


def _place(heard: Span, pieces: Sequence[Span], speech: Sequence[Span]) -> Span:
    """From a span in the pieces put together to the span in the block.

    Whisper stretches words into the silences beside them, so the span is cut to the stretch of speech that it is in.
    """
    middle, offset = sum(heard) / 2, 0.0
    shift = pieces[0][0]
    for start, end in pieces:
        shift = start - offset
        offset += end - start
        if middle < offset:
            break
    start, end = heard[0] + shift, heard[1] + shift
    first, last = max(speech, key=lambda span: min(end, span[1]) - max(start, span[0]))
    return min(max(start, first), last), max(min(end, last), first)
