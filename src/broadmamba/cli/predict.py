"""`broadmamba predict`: label a conversation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli.completion import DEVICES, FORMATS, RUNTIMES, among, models
from broadmamba.cli.printing import console, hand_over, say
from broadmamba.cli.progress import progress_stages
from broadmamba.cli.sound import AudioTrack, Channels

if TYPE_CHECKING:
    from broadmamba.recognition.prediction import ConversationPrediction

_MARKS = ("manifest.json", "config.json", "encoder.json")
"""By one of these files a folder is known as a model or an encoder."""


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
            ".jsonl, .csv, .vtt, .eaf, .TextGrid, .html or .txt; - is the standard output.",
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
        typer.Option(
            help="Model folder, the name of a model that comes with broadmamba, or owner/name on the Hugging Face Hub.",
            autocompletion=models,
        ),
    ] = "meld",
    device: Annotated[
        str, typer.Option(help="Where the model runs: auto, cpu or cuda.", autocompletion=among(*DEVICES))
    ] = "auto",
    runtime: Annotated[
        str | None,
        typer.Option(
            help="What runs the model: onnx or torch.",
            show_default="what the model is made for",
            autocompletion=among(*RUNTIMES),
        ),
    ] = None,
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
    from broadmamba.recognition.front_door import recognize
    from broadmamba.recognition.outputs import choose_format, output_files, refuse_replacing_others
    from broadmamba.recognition.prediction import NOTICE
    from broadmamba.recognition.pretrained import find_model
    from broadmamba.storage import check_writable, refuse_replacing

    if out == Path("-"):
        out = None  # the standard output, as `-` is the standard input
    chosen = choose_format(format, out)
    if out is not None:
        files = output_files(out, chosen)
        for file in files:
            check_writable(file)
        read = [file for file in (source, transcript, weights) if file and not file.is_dir()]
        named = [find_model(model), *(Path(name) for name in (encoder, speech_model) if name)]
        refuse_replacing(
            files, [*read, *(folder for folder in named if any((folder / mark).is_file() for mark in _MARKS))]
        )
    with _work_folder(out, folder=chosen is None) as work:
        if out is not None and not overwrite:  # while it is held, so that what another process just wrote is seen
            refuse_replacing_others(out, chosen, source)
        with progress_stages() as progress:
            prediction = recognize(
                source,
                transcript=transcript,
                model=model,
                device=device,
                runtime=runtime,
                encoder=encoder,
                weights=weights,
                speech_model=speech_model,
                language=language,
                speakers=speakers,
                encoding=encoding,
                tiers=tiers or (),
                audio_track=audio_track,
                channels=channels,
                workers=workers,
                work=work,
                progress=progress,
            )
        if out is None:
            _print(prediction, chosen or "table", caption_speakers, excel)
        else:  # what stands there was looked at before
            written = prediction.save(out, chosen, overwrite=True, caption_speakers=caption_speakers, excel=excel)
            for file in written if chosen is None else ():
                say(file)
        if prediction.recording is not None and work is not None:
            from broadmamba.recognition.recording import clear_work

            clear_work(work)  # only now, since what could not be written must not be lost
    say(NOTICE)


def _print(prediction: ConversationPrediction, format: str, caption_speakers: bool, excel: bool) -> None:
    from broadmamba.recognition.outputs import Setting, render, source_as_seen_from
    from broadmamba.recognition.writers import print_table

    if format == "table":
        print_table(prediction, console())
    else:
        source = source_as_seen_from(Path(), prediction.source)
        hand_over(render(prediction, format, Setting(source=source, caption_speakers=caption_speakers, excel=excel)))


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
