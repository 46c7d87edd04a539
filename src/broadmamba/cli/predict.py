"""`broadmamba predict`: label a conversation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli.completion import FORMATS, among, models
from broadmamba.cli.printing import console, hand_over, say
from broadmamba.cli.progress import progress_stages
from broadmamba.cli.sound import AudioTrack, Channels

if TYPE_CHECKING:
    from broadmamba.data.conversation import Conversation
    from broadmamba.recognition.outputs import Setting
    from broadmamba.recognition.prediction import ConversationPrediction
    from broadmamba.recognition.recognizer import Recognizer
    from broadmamba.recognition.recording import Listening


def predict(
    source: Annotated[
        Path,
        typer.Argument(
            help="Recording (mp4, mov, mkv, webm, avi, wav, flac, mp3, ogg …) or transcript (CSV, JSONL, SRT, WebVTT, "
            "TextGrid, EAF, JSON of speech to text, CTM, RTTM, or text with times or names), also through a pipe; "
            "- is the standard input."
        ),
    ],
    transcript: Annotated[
        Path | None,
        typer.Option(help="What is said in the recording.", show_default="transcribed by --speech-model"),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of the transcript, such as cp1251, gb18030 or mac_roman.", show_default="auto-detected"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for all formats and the report, or one file: "
            ".jsonl, .csv, .vtt, .eaf, .TextGrid, .html or .txt.",
            show_default="a table on standard output",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="table, jsonl, csv, vtt, eaf, textgrid or html.",
            show_default="by the name of --out, else table",
            autocompletion=among(*FORMATS),
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="Model folder, or the name of a model that comes with broadmamba.", autocompletion=models),
    ] = "meld",
    encoder: Annotated[
        str | None, typer.Option(help="Text encoder, where the model's own is a folder of yours.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the model's video feature, where it has none of its own.")
    ] = None,
    speech_model: Annotated[
        str, typer.Option(help="Whisper model that transcribes a recording: a folder or a name.")
    ] = "base",
    language: Annotated[
        str | None, typer.Option(help="Language of the recording, such as en.", show_default="auto-detected")
    ] = None,
    speakers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="How many people speak, where the transcript does not say who.",
            show_default="auto-detected",
        ),
    ] = None,
    tiers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME…]",
            help="Tiers of a TextGrid or EAF file that hold speech, whatever their names. May be repeated.",
            show_default="auto-detected",
        ),
    ] = None,
    audio_track: AudioTrack = None,
    channels: Channels = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes for sound and pictures.", show_default="one a core")
    ] = None,
    caption_speakers: Annotated[
        bool,
        typer.Option("--caption-speakers", help="Captions name the speaker; most players show no voices."),
    ] = False,
    excel: Annotated[bool, typer.Option("--excel", help="CSV that Excel opens with a double click.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands at --out, whatever it was made from.")
    ] = False,
) -> None:
    """Label each utterance with its emotion, its probability, and what each modality weighed.

    A recording gives words, voice and faces, as far as the model reads them. With --out, interrupted work
    is resumed. Outputs of the same source are replaced, others only with --overwrite.
    """
    from broadmamba.recognition.outputs import (
        Setting,
        choose_format,
        output_files,
        refuse_replacing_others,
        write_outputs,
    )
    from broadmamba.recognition.prediction import NOTICE
    from broadmamba.recognition.pretrained import find_model
    from broadmamba.storage import check_writable, refuse_replacing

    chosen = choose_format(format, out)
    if out is not None:
        files = output_files(out, chosen)
        for file in files:
            check_writable(file)
        read = [file for file in (source, transcript, weights) if file and not file.is_dir()]
        named = [find_model(model), *(Path(name) for name in (encoder, speech_model) if name)]
        refuse_replacing(files, [*read, *(folder for folder in named if (folder / "config.json").is_file())])
    load = partial(_load, model, encoder)
    read_conversation = partial(_read, tiers=tiers or (), encoding=encoding)
    setting = Setting(caption_speakers=caption_speakers, excel=excel)
    recording = _is_recording(source, transcript, tiers, encoding)
    with _work_folder(out, folder=chosen is None) as work:
        if out is not None and not overwrite:  # while it is held, so that what another process just wrote is seen
            refuse_replacing_others(out, chosen, source)
        if recording:
            from broadmamba.media.recording import Recording
            from broadmamba.media.tracks import SoundChoice

            sound = SoundChoice.parse(audio_track, channels)
            Recording.open(source, sound).close()  # before the slow imports, so that a bad file is told at once
            said = None if transcript is None else read_conversation(transcript)
            from broadmamba.recognition.recording import Listening, clear_work

            listening = Listening(
                transcript=said, speech_model=speech_model, language=language, speakers=speakers, sound=sound
            )
            prediction = _of_recording(source, listening, load, weights, work, workers or os.cpu_count() or 1)
        else:
            prediction = _of_conversation(read_conversation(source), load)
        if out is None:
            _print(prediction, chosen or "table", source, setting)
        else:
            written = write_outputs(prediction, out, chosen, source, setting, is_recording=recording)
            for file in written if chosen is None else ():
                say(file)
        if recording and work is not None:  # only now, since what could not be written must not be lost
            clear_work(work)
    say(NOTICE)


def _is_recording(source: Path, transcript: Path | None, tiers: Sequence[str] | None, encoding: str | None) -> bool:
    from broadmamba.errors import InputError
    from broadmamba.media.kind import is_recording

    recording = is_recording(source)
    if transcript is not None and not recording:
        raise InputError(f"{source}: expected a recording, since a transcript was given too, found something else")
    if recording and tiers and transcript is None:
        raise InputError(f"{source}: expected a transcript too, since tiers of one were named, found only a recording")
    if recording and encoding is not None and transcript is None:
        raise InputError(f"{source}: expected a transcript too, since its encoding was said, found only a recording")
    return recording


def _read(transcript: Path, tiers: Sequence[str], encoding: str | None) -> Conversation:
    from broadmamba.media.transcripts import read_transcript

    return read_transcript(transcript, tiers=tiers, encoding=encoding)


def _load(model: str, encoder: str | None) -> Recognizer:
    from broadmamba.recognition.recognizer import Recognizer

    return Recognizer.from_pretrained(model, encoder=encoder)


def _of_conversation(conversation: Conversation, load: Callable[[], Recognizer]) -> ConversationPrediction:
    screen = console(stderr=True)
    with screen.status("Loading the model …"):
        recognizer = load()
    with screen.status("Recognising …"):
        return recognizer.predict(conversation)


def _of_recording(
    recording: Path,
    listening: Listening,
    load: Callable[[], Recognizer],
    weights: Path | None,
    work: Path | None,
    workers: int,
) -> ConversationPrediction:
    from broadmamba.locks import temporary_folder
    from broadmamba.recognition.recording import predict_recording

    with nullcontext(work) if work else temporary_folder() as folder, progress_stages() as progress:
        return predict_recording(
            load(),
            recording,
            folder,
            listening,
            workers=workers,
            weights=weights,
            progress=progress,
        )


def _print(prediction: ConversationPrediction, format: str, source: Path, setting: Setting) -> None:
    from broadmamba.recognition.outputs import render, source_as_seen_from
    from broadmamba.recognition.writers import print_table

    if format == "table":
        print_table(prediction, console())
    else:
        hand_over(render(prediction, format, replace(setting, source=source_as_seen_from(Path(), source))))


@contextmanager
def _work_folder(out: Path | None, folder: bool) -> Iterator[Path | None]:
    """Where work is kept until all is done, held alone: with the output, since there the next run looks."""
    from broadmamba.locks import beside, exclusive, remove_leftovers
    from broadmamba.storage import is_stream

    if out is None or is_stream(out):
        yield None
        return
    real = Path(os.path.realpath(out))  # a link may point to what is not there yet
    work = real / ".unfinished" if folder else beside(real, "unfinished")
    made = [place for place in (work, *work.parents) if not place.exists()]
    remove_leftovers(work.parent)
    try:
        with exclusive(work, f"writes to {out}"):
            yield work
    finally:
        for place in dict.fromkeys([work, *made]):
            with suppress(OSError):  # something is in it
                place.rmdir()
