"""`broadmamba predict`: label a conversation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli.progress import progress_stages

if TYPE_CHECKING:
    from broadmamba.recognition.prediction import ConversationPrediction
    from broadmamba.recognition.recognizer import Recognizer
    from broadmamba.recognition.recording import Listening


def predict(
    source: Annotated[
        Path,
        typer.Argument(
            help="Recording (mp4, mov, mkv, webm, avi, wav, flac, mp3, ogg …) or transcript (CSV, JSONL, SRT, WebVTT, "
            "TextGrid, EAF, Whisper's JSON, CTM, RTTM, or lines of `Name: text`), also through a pipe; "
            "- is the standard input."
        ),
    ],
    transcript: Annotated[
        Path | None,
        typer.Option(help="What is said in the recording.", show_default="heard by --speech-model"),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of the transcript, such as cp1251, gb18030 or mac_roman.", show_default="found where sure"
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
            help="table, jsonl, csv, vtt, eaf, textgrid or html.", show_default="by the name of --out, else table"
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model folder, or the name of a model that comes with broadmamba.")
    ] = "meld",
    encoder: Annotated[
        str | None, typer.Option(help="Text encoder, where the model's own is a folder of yours.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the model's video feature, where it has none of its own.")
    ] = None,
    speech_model: Annotated[
        str, typer.Option(help="Whisper model that hears a recording without a transcript: a folder or a name.")
    ] = "base",
    language: Annotated[
        str | None, typer.Option(help="Language of the recording, such as en.", show_default="found by itself")
    ] = None,
    speakers: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many people speak, where the transcript does not say who.", show_default="found by itself"
        ),
    ] = None,
    tiers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME…]",
            help="Tiers of a TextGrid or EAF file that hold speech, whatever they are called. May be repeated.",
            show_default="found by itself",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for sound and pictures.", show_default="one a core")
    ] = None,
) -> None:
    """Label each utterance with its emotion, its probability, and what each modality weighed.

    A recording gives words, voice and faces, as far as the model reads them. With --out FOLDER, work that was
    interrupted goes on where it was.
    """
    from broadmamba.errors import InputError
    from broadmamba.media.kind import is_recording
    from broadmamba.recognition.outputs import choose_format, render, write_file, write_folder
    from broadmamba.recognition.prediction import NOTICE
    from broadmamba.recognition.writers import print_table

    chosen = choose_format(format, out)
    work = _unfinished(out, folder=chosen is None)
    recording = source if is_recording(source) else None
    if recording is None:
        if transcript is not None:
            raise InputError(f"{source}: expected a recording, since a transcript was given too, found something else")
        prediction = _of_transcript(source, encoding, tiers or (), model, encoder)
    else:
        if tiers and transcript is None:
            raise InputError(
                f"{source}: expected a transcript too, since tiers of one were named, found only a recording"
            )
        from broadmamba.media.recording import Recording
        from broadmamba.media.transcripts import read_transcript

        Recording.open(recording).close()  # before the slow imports, so that a bad file is told at once
        said = None if transcript is None else read_transcript(transcript, tiers=tiers or (), encoding=encoding)
        from broadmamba.recognition.recording import Listening

        listening = Listening(transcript=said, speech_model=speech_model, language=language, speakers=speakers)
        prediction = _of_recording(recording, listening, model, encoder, weights, work, workers or os.cpu_count() or 1)
    if out is not None and chosen is None:
        for file in write_folder(prediction, out, recording):
            typer.echo(file, err=True)
    elif out is not None and chosen is not None:
        write_file(prediction, out, chosen, recording)
    elif chosen == "table":
        from rich.console import Console

        print_table(prediction, Console())
    else:
        typer.echo(render(prediction, chosen or "table"), nl=False)
    if recording is not None and work is not None:  # only now, since what could not be written must not be lost
        from broadmamba.recognition.recording import clear_work

        clear_work(work)
    typer.echo(NOTICE, err=True)


def _of_transcript(
    transcript: Path, encoding: str | None, tiers: Sequence[str], model: str, encoder: str | None
) -> ConversationPrediction:
    from rich.console import Console

    from broadmamba.media.transcripts import read_transcript

    # before the slow imports, so that a bad file is told at once
    conversation = read_transcript(transcript, tiers=tiers, encoding=encoding)
    console = Console(stderr=True)
    with console.status("Loading the model …"):
        recognizer = _load(model, encoder)
    with console.status("Recognising …"):
        return recognizer.predict(conversation)


def _of_recording(
    recording: Path,
    listening: Listening,
    model: str,
    encoder: str | None,
    weights: Path | None,
    work: Path | None,
    workers: int,
) -> ConversationPrediction:
    from broadmamba.recognition.recording import predict_recording

    with tempfile.TemporaryDirectory(prefix="broadmamba-") as temporary, progress_stages() as progress:
        return predict_recording(
            _load(model, encoder),
            recording,
            work or Path(temporary),
            listening,
            workers=workers,
            weights=weights,
            progress=progress,
            notice=lambda text: typer.echo(text, err=True),
        )


def _load(model: str, encoder: str | None) -> Recognizer:
    from broadmamba.recognition.recognizer import Recognizer

    return Recognizer.from_pretrained(model, encoder=encoder)


def _unfinished(out: Path | None, folder: bool) -> Path | None:
    """Where work is kept until all is done: with the output, since there the next run looks."""
    if out is None:
        return None
    return out / ".unfinished" if folder else out.with_name(f".{out.name}.unfinished")
