"""`broadmamba extract`: add features to a corpus."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli.completion import AUDIO, ENCODERS, POOLINGS, VIDEO, among
from broadmamba.cli.printing import say
from broadmamba.cli.progress import progress_bar
from broadmamba.cli.sound import AudioTrack, Channels

if TYPE_CHECKING:
    from broadmamba.data.corpus import Corpus
    from broadmamba.data.spec import FeatureSpec
    from broadmamba.features.workers import Load
    from broadmamba.media.tracks import SoundChoice


def extract(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder, as `broadmamba convert` makes it.")],
    text: Annotated[
        str | None,
        typer.Option(
            help="Text encoder: minilm, a folder with a Hugging Face encoder, or a Hugging Face id. "
            "Only an id may use the network.",
            show_default="minilm, where neither --audio nor --video is given",
            autocompletion=among(*ENCODERS),
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            help="Audio feature: prosody, logmel, egemaps, is10 or compare; needs --media.",
            autocompletion=among(*AUDIO),
        ),
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(help="Video feature: expression or densenet121; needs --media.", autocompletion=among(*VIDEO)),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a clip of each utterance (MELD's dia0_utt3.mp4, IEMOCAP's Ses01F_impro01_F000.wav) or a "
            "recording of each conversation, in any sub-folders."
        ),
    ] = None,
    audio_track: AudioTrack = None,
    channels: Channels = None,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Try again what the report of an audio or video feature lists as failed."),
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="Weights of the video feature's network.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes for audio and video.", show_default="one a core")
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(
            help="How tokens become one row: mean, cls, max, layers (three depths joined) or all (every depth); or "
            "tokens: their ids, for systems that train an encoder themselves (compm, emoberta).",
            autocompletion=among(*POOLINGS),
        ),
    ] = "mean",
    name: Annotated[
        str | None, typer.Option(help="Name of the text feature.", show_default="the encoder's name")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=65_536, help="Texts encoded at once.")] = 64,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processor threads for text.", show_default="all cores")
    ] = None,
) -> None:
    """Make text, audio or video features of each utterance and write them, with their specs, into the corpus.

    Given again after a kill, it resumes; a feature that is there already is not computed again.
    Clips that are missing or broken leave the feature missing there, and are listed in the corpus under reports/.
    """
    from broadmamba.data.corpus import Corpus
    from broadmamba.errors import InputError
    from broadmamba.media.tracks import SoundChoice
    from broadmamba.storage import refuse_replacing

    opened = Corpus.open(corpus)  # before the slow imports, so that a wrong folder is told at once
    if weights and not video:
        raise InputError("--weights is for --video; say which video feature they are of")
    if media and not (audio or video):
        raise InputError("--media is for --audio and --video; say one of them")
    if (audio or video) and not media:
        raise InputError(f"--{'audio' if audio else 'video'} needs --media: the folder with the corpus' recordings")
    if (audio_track or channels) and not audio:
        raise InputError(f"--{'audio-track' if audio_track else 'channels'} is for --audio; say which audio feature")
    encoder = text if text and (Path(text) / "config.json").is_file() else None
    refuse_replacing([corpus / "features" / f"{video}.safetensors", corpus / "features"], [weights, encoder])
    if retry and not (audio or video):
        raise InputError("--retry is for --audio and --video; say which feature shall be tried again")
    sound = SoundChoice.parse(audio_track, channels)
    count = workers or os.cpu_count() or 1
    if audio and media:
        from broadmamba.features.audio import load_audio

        if notice := load_audio(audio).notice:
            say(notice)
        opened = _add_media_feature(opened, partial(load_audio, audio), media, count, sound, retry)
    if video and media:
        from broadmamba.features.video import load_video

        opened = _add_media_feature(opened, partial(load_video, video, weights), media, count, SoundChoice(), retry)
    if text or not (audio or video):
        add_text_feature(opened, text or "minilm", pooling, name, batch_size, threads)


def _add_media_feature(
    corpus: Corpus, load: Load, media: Path, workers: int, sound: SoundChoice, retry: bool
) -> Corpus:
    from broadmamba.features.extract_media import extract_media, report_file
    from broadmamba.features.present import has_feature

    spec = load().spec
    present = has_feature(corpus, spec)
    with progress_bar(f"Extracting {spec.name}") as advance:
        extended, report = extract_media(corpus, load, media, workers, advance, sound=sound, retry=retry)
    if present and not report.retried:
        _tell_present(corpus, spec)
        return extended
    if report.retried:
        say(f"utterances that were tried again: {report.retried}")
    missing = int(extended.features[spec.name].missing().sum())
    say(f"{corpus.path}: added {spec.describe()} for {report.utterances - missing} utterances")
    if silent := missing - len(report.failures):
        what = "heard" if spec.modality == "audio" else "seen"
        say(f"utterances in which nothing is to be {what}: {silent}")
    if report.failures and corpus.path:
        listed = report_file(corpus.path, spec.name)
        say(f"utterances that failed: {len(report.failures)}, listed in {listed}")
        for line in report.summary():
            say(f"  {line}")
    return extended


def add_text_feature(
    corpus: Corpus,
    source: str,
    pooling: str = "mean",
    name: str | None = None,
    batch_size: int = 64,
    threads: int | None = None,
) -> None:
    """Encode all texts of a corpus, and tell what came of it."""
    if sys.stderr.isatty():
        say(f"Loading the text encoder {source} …")

    import torch

    from broadmamba.features.extract_text import extract_text
    from broadmamba.features.present import has_feature
    from broadmamba.features.text.encoder import TextEncoder

    if threads:
        torch.set_num_threads(threads)
    encoder = TextEncoder.load(source, pooling)
    if name:
        encoder = encoder.named(name)
    if has_feature(corpus, encoder.spec, encoder.weights):
        _tell_present(corpus, encoder.spec)
        return
    with progress_bar("Encoding texts") as advance:
        extended = extract_text(corpus, encoder, batch_size, advance)
    rows = int((~extended.features[encoder.spec.name].missing()).sum())
    say(f"{corpus.path}: added {encoder.spec.describe()} for {rows} utterances")


def _tell_present(corpus: Corpus, spec: FeatureSpec) -> None:
    from broadmamba.features.parts import forget_extraction

    if corpus.path:
        forget_extraction(corpus.path, spec.name)
    say(f"{corpus.path} has the feature {spec.describe()} already; nothing to do")
