"""The front door: recordings, transcripts and conversations in, the emotion of each utterance out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, overload

from broadmamba.data.conversation import Conversation
from broadmamba.errors import BroadMambaError, InputError
from broadmamba.locks import temporary_folder
from broadmamba.media.tracks import SoundChoice
from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.pretrained import DEFAULT
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.recognition.sources import Source, name_of_source, open_source

if TYPE_CHECKING:
    from broadmamba.recognition.recording import Progress

_MOST_SPEAKERS, _MOST_WORKERS = 1000, 1024


@overload
def recognize(  # type: ignore[overload-overlap]  # a string is a sequence of strings too
    source: Source,
    *,
    transcript: Source | None = None,
    model: str | Path | Recognizer = DEFAULT,
    device: str = "auto",
    runtime: str | None = None,
    encoder: str | Path | None = None,
    weights: str | Path | None = None,
    speech_model: str | Path = "base",
    language: str | None = None,
    speakers: int | None = None,
    encoding: str | None = None,
    tiers: Sequence[str] = (),
    audio_track: int | str | None = None,
    channels: int | str | None = None,
    workers: int | None = None,
    work: str | Path | None = None,
    progress: Progress | None = None,
) -> ConversationPrediction: ...


@overload
def recognize(
    source: Sequence[Source],
    *,
    transcript: None = None,
    model: str | Path | Recognizer = DEFAULT,
    device: str = "auto",
    runtime: str | None = None,
    encoder: str | Path | None = None,
    weights: str | Path | None = None,
    speech_model: str | Path = "base",
    language: str | None = None,
    speakers: int | None = None,
    encoding: str | None = None,
    tiers: Sequence[str] = (),
    audio_track: int | str | None = None,
    channels: int | str | None = None,
    workers: int | None = None,
    work: str | Path | None = None,
    progress: Progress | None = None,
) -> list[ConversationPrediction]: ...


def recognize(
    source: Source | Sequence[Source],
    *,
    transcript: Source | None = None,
    model: str | Path | Recognizer = DEFAULT,
    device: str = "auto",
    runtime: str | None = None,
    encoder: str | Path | None = None,
    weights: str | Path | None = None,
    speech_model: str | Path = "base",
    language: str | None = None,
    speakers: int | None = None,
    encoding: str | None = None,
    tiers: Sequence[str] = (),
    audio_track: int | str | None = None,
    channels: int | str | None = None,
    workers: int | None = None,
    work: str | Path | None = None,
    progress: Progress | None = None,
) -> ConversationPrediction | list[ConversationPrediction]:
    """Label each utterance with its emotion, its probability, and what each modality weighed.

    A recording gives words, voice and faces, as far as the model reads them. What the user should know of it is logged
    as warnings under `broadmamba`.

    Args:
        source: a recording, a transcript, a conversation, or a list of these; what a file is, is found out.
        transcript: what is said in the recording; None has it transcribed by the speech model.
        model: a model folder, the name of a model that comes with the package, `owner/name` on the Hugging Face Hub,
            or a `Recognizer`, so that a model is loaded once for many calls.
        device: `auto`, `cpu` or `cuda`.
        runtime: `onnx` or `torch`; None takes what the model is made for.
        encoder: text encoder in place of the model's own: a folder or a Hugging Face id.
        weights: of the model's video feature, where it has none of its own.
        speech_model: Whisper model that transcribes a recording: a folder or a name.
        language: of the recording, such as `en`; None finds out.
        speakers: how many people speak, where the transcript does not say who; None finds out.
        encoding: of the transcript, such as `cp1251`; None finds out.
        tiers: those of a TextGrid or EAF file that hold speech, whatever their names; without any they are found.
        audio_track: of the recording: its number, from 1, or its language, such as `eng`.
        channels: of the recording: `mix`, `best` or the number of one, from 1.
        workers: processes for sound and pictures; None takes one a core.
        work: folder in which what is done of a recording is kept, so that another call resumes it; it is the
            caller's to remove. None keeps it in a temporary folder while the call lasts.
        progress: called with the stage, how much of it is done, and how much that is in all.

    Returns:
        The emotions of the conversation; of a list, one such result each.

    Raises:
        InputError: a file or a setting cannot be used. Of a list, the message names the file; all are opened before
            the first is recognised.
        CheckpointError: the model is damaged.
        IncompatibleError: the model reads a feature that cannot be made here.
        MissingExtraError: an optional part is needed; the message says which.

    Example:
        >>> result = broadmamba.recognize("kitchen.vtt")
        >>> result[10].text, result[10].label
        ('Oh my God, the oven! There is smoke coming out of the oven!', 'surprise')
        >>> [file.name for file in result.save("kitchen") if file.suffix == ".eaf"]
        ['tiers.eaf']
    """
    several = isinstance(source, Sequence) and not isinstance(source, (str, bytes))
    sources: Sequence[Source] = source if several else [source]  # type: ignore[assignment, list-item]
    if not several and not isinstance(source, (str, Path, Conversation)):
        raise InputError(
            "expected a recording or a transcript by its path, a Conversation, or a list of these, "
            f"found {type(source).__name__}"
        )
    if several and transcript is not None:
        raise InputError(
            f"expected one recording, since a transcript was given too, found a list of {len(sources)}; recognize each "
            "with its own transcript, and one Recognizer as the model of all"
        )
    tiers = [tiers] if isinstance(tiers, str) else tiers or ()
    if not isinstance(tiers, Sequence):
        raise InputError(f"expected tiers as a list of their names, found {type(tiers).__name__}")
    if progress is not None and not callable(progress):
        raise InputError(f"expected progress as a function, found {type(progress).__name__}")
    _check_count("speakers", speakers, _MOST_SPEAKERS)
    _check_count("workers", workers, _MOST_WORKERS)
    _check_texts({"language": language, "encoding": encoding, **{f"tier {i}": name for i, name in enumerate(tiers, 1)}})
    _check_texts({"weights": weights, "speech_model": speech_model, "work": work}, or_paths=True)
    for what, value in (("audio_track", audio_track), ("channels", channels)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, str))):
            raise InputError(f"expected {what} as a number or a text, found {type(value).__name__}")
    sound = SoundChoice.parse(*(None if chosen is None else str(chosen) for chosen in (audio_track, channels)))
    names = [name_of_source(one) if several else None for one in sources]
    opened = []
    for name, one in zip(names, sources, strict=True):
        with _naming(name):
            opened.append(open_source(one, transcript, sound, encoding=encoding, tiers=tiers))

    tell: Progress = progress or (lambda stage, done, total: None)
    if isinstance(model, Recognizer):
        if encoder is not None or runtime is not None or device != "auto":
            raise InputError(
                "expected no encoder, runtime or device beside a Recognizer, which was loaded with its own, found one"
            )
        recognizer = model
    else:
        tell("Loading the model", 0, 1)
        recognizer = Recognizer.from_pretrained(model, encoder=encoder, runtime=runtime, device=device)
        tell("Loading the model", 1, 1)

    results = []
    for name, ready in zip(names, opened, strict=True):
        with _naming(name):
            told = tell if name is None else partial(_tell_of, tell, name)
            if ready.recording is None:
                assert ready.conversation is not None, "what is no recording was read"
                told("Recognising", 0, 1)
                prediction = recognizer.predict(ready.conversation)
                told("Recognising", 1, 1)
            else:
                from broadmamba.recognition.recording import Listening, predict_recording  # not for words alone: slow

                listening = Listening(
                    transcript=ready.conversation,
                    speech_model=str(speech_model),
                    language=language,
                    speakers=speakers,
                    sound=sound,
                )
                with temporary_folder() if work is None else nullcontext(Path(work)) as folder:
                    prediction = predict_recording(
                        recognizer,
                        ready.recording,
                        folder / _key(ready.recording) if several else folder,
                        listening,
                        workers=workers or os.cpu_count() or 1,
                        weights=None if weights is None else Path(weights),
                        progress=told,
                    )
            results.append(replace(prediction, source=ready.source, transcript=ready.transcript))
    return results if several else results[0]


@contextmanager
def _naming(name: str | None) -> Iterator[None]:
    """Errors of one of several name it."""
    try:
        yield
    except BroadMambaError as error:
        if name is None or name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from None


def _tell_of(tell: Progress, name: str, stage: str, done: float, total: float) -> None:
    tell(f"{name}: {stage}", done, total)


def _key(recording: Path) -> str:
    """What the work of one of several recordings is called."""
    return hashlib.sha256(os.fsencode(recording.resolve())).hexdigest()[:16]


def _check_texts(settings: Mapping[str, object], *, or_paths: bool = False) -> None:
    for what, value in settings.items():
        if value is not None and not isinstance(value, (str, Path) if or_paths else str):
            expected = "a path" if or_paths else "a text"
            raise InputError(f"expected {what} as {expected}, found {type(value).__name__}")


def _check_count(what: str, count: int | None, most: int) -> None:
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most):
        raise InputError(f"expected {what} as a number from 1 to {most}, found {count!r:.40}")
