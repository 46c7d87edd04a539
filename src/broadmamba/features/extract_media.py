"""Adding an audio or video feature to a corpus on disk, from a folder of clips or whole recordings.

Worker processes extract the rows; those done are stored in parts, so that a run that was killed goes on where it
was. A stored row is used again only if its file, its span, the file's size and time, and the choice of sound are the
same.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from broadmamba.data.conversation import Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.features.clips import Clip, find_clips
from broadmamba.features.extractor import Span
from broadmamba.features.parts import PartStore, extracting
from broadmamba.features.present import has_feature
from broadmamba.features.rows import PARTS, TIME_LIMIT, RowStore, fingerprint
from broadmamba.features.workers import Job, Load, Trouble
from broadmamba.media.tracks import DEFAULT_SOUND, SoundChoice
from broadmamba.schema import read_checked
from broadmamba.storage import csv_text, read_text, write_json, write_text

_log = logging.getLogger(__name__)

_SOUND = {"track": (int, str, None), "channels": (int, str, None)}


@dataclass(frozen=True, slots=True)
class Failure:
    """An utterance whose row is missing for another reason than that nothing is to be seen or heard.

    Attributes:
        utterance: its id.
        file: its clip, relative to the folder, or empty where it has none.
        reason: in a few words.
    """

    utterance: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an extraction.

    Attributes:
        feature: its name.
        utterances: of the corpus.
        failures: in row order.
        retried: rows that were tried again, where that was asked for.
    """

    feature: str
    utterances: int
    failures: tuple[Failure, ...] = ()
    retried: int = 0

    def summary(self) -> list[str]:
        """A line for each reason, the most frequent first: how often, and the first three utterances."""
        times = Counter(failure.reason for failure in self.failures)
        named = {reason: [f.utterance for f in self.failures if f.reason == reason][:3] for reason in times}
        return [
            f"{count} × {reason}: {', '.join(named[reason])}{', …' if count > 3 else ''}"
            for reason, count in times.most_common()
        ]


def report_file(corpus: Path, feature: str) -> Path:
    """Where the report of a feature stands: a CSV file with a row for each failure, and for each recording in doubt."""
    return corpus / "reports" / f"{feature}.csv"


def extract_media(
    corpus: Corpus,
    load: Load,
    media: Path,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
    limit: float = TIME_LIMIT,
    sound: SoundChoice = DEFAULT_SOUND,
    retry: bool = False,
) -> tuple[Corpus, Report]:
    """Add an extractor's feature to a corpus; a clip that cannot be used leaves its row missing and is reported.

    What a user should know of the recordings (their tracks, channels and lengths) is told in warnings.

    Args:
        corpus: opened from its folder.
        load: makes the extractor, here for its spec and in each worker; it must be picklable, such as
            `functools.partial(load_audio, "prosody")`.
        media: folder with a clip for each utterance or a recording for each conversation, see `clips`.
        workers: processes at once, each with one thread; the values do not depend on how many.
        progress: called with (utterances done, all utterances) whenever the first has grown.
        limit: seconds that one utterance may take.
        sound: which of the recordings' sound is heard.
        retry: where the corpus has the feature already, try the rows again that its report lists as failures.

    Returns:
        The corpus with the feature, and the report, which `report_file` holds as well. Where the corpus has the
        feature already, and nothing is tried again, both are as they were: no clip is opened, and the report tells of
        no failure.

    Raises:
        InputError: the corpus is not on disk or has another feature of that name, clips cannot be told apart, or
            not one utterance has a clip that can be used; or another process makes this feature.
    """
    if corpus.path is None:
        raise InputError(f"corpus {corpus.name!r} is only in memory; save it before adding a feature")
    spec = load().spec
    nothing_to_do = has_feature(corpus, spec) and not retry
    with nullcontext() if nothing_to_do else extracting(corpus.path, spec.name):
        return _extract(corpus, spec, load, media, workers, progress, limit, sound, retry)


def _extract(
    corpus: Corpus,
    spec: FeatureSpec,
    load: Load,
    media: Path,
    workers: int,
    progress: Callable[[int, int], object] | None,
    limit: float,
    sound: SoundChoice,
    retry: bool,
) -> tuple[Corpus, Report]:
    assert corpus.path is not None
    ids = [utterance.id for utterance in corpus.utterances]
    before = corpus.features[spec.name] if has_feature(corpus, spec) else None
    again: set[str] = set()
    listed: list[Failure] = []
    if before is not None:
        sound = _same_sound(corpus.path, spec.name, sound)
        report = _listed(corpus.path, spec.name)
        named = {_bare(failure.utterance) for failure in report}
        missing = {id for id, none in zip(ids, before.missing(), strict=True) if none}
        again = {id for id in missing if _bare(id) in named}
        gone = set(map(_bare, missing))
        listed = [failure for failure in report if _bare(failure.utterance) not in gone]
        if not (retry and again):
            return corpus, Report(spec.name, len(ids))
    clips = [_readable(clip) for clip in find_clips(corpus, media, spec.modality)]
    store = PartStore(corpus.path, spec, PARTS)
    prints = [_fingerprint(id, clip, media, sound) for id, clip in zip(ids, clips, strict=True)]
    rows = RowStore(store, spec.width, prints)
    for row, clip in enumerate(clips):
        if before is not None and ids[row] not in again:
            rows.settle(row, before.values[row])
        elif isinstance(clip, str):
            rows.settle(row, Trouble(clip))
    rows.fill(load, _jobs(corpus, clips, rows.undone(), sound), workers, progress, limit)
    failures = tuple(
        Failure(ids[row], _name(clips[row], media), _legible(reason)) for row, reason in sorted(rows.reasons.items())
    )
    if len(failures) == len(ids):
        store.clear()  # another try shall be one
        first = next((failure for failure in failures if failure.file), failures[0])
        raise InputError(
            f"{media}: {spec.name} failed for all {len(ids)} utterances, as for {first.utterance} "
            f"({first.file or 'no file'}: {first.reason})"
        )
    remarks = [
        Failure(ids[row], _name(clips[row], media), f"{words} ({details})" if details else words)
        for row, of_row in sorted(rows.remarks.items())
        for words, details in of_row
    ]
    _tell({row: [words for words, _ in of_row] for row, of_row in rows.remarks.items()}, clips, media)
    write_text(
        report_file(corpus.path, spec.name),
        csv_text(
            ("utterance", "file", "reason"),
            ((f.utterance, f.file, f.reason) for f in (*failures, *remarks, *listed)),
        ),
    )
    if sound != DEFAULT_SOUND:
        write_json(_sound_file(corpus.path, spec.name), asdict(sound))
    else:
        _sound_file(corpus.path, spec.name).unlink(missing_ok=True)
    extended = corpus.add_feature(Feature(spec, rows.values))
    store.clear()
    return extended, Report(spec.name, len(ids), failures, len(again))


def _listed(corpus: Path, feature: str) -> list[Failure]:
    """What the report of a feature says; nothing where it is gone."""
    file = report_file(corpus, feature)
    if not file.is_file():
        return []
    found = csv.DictReader(io.StringIO(read_text(file)))
    return [Failure(row["utterance"], row["file"], row["reason"]) for row in found if None not in row.values()]


def _bare(id: str) -> str:
    """An id without the apostrophe that `csv_text` writes before what looks like a formula."""
    return id.removeprefix("'")


def _sound_file(corpus: Path, feature: str) -> Path:
    """Where it stands which sound a feature was made of, if it was not the default."""
    return corpus / "reports" / f"{feature}.sound.json"


def _same_sound(corpus: Path, feature: str, wanted: SoundChoice) -> SoundChoice:
    """The sound that a feature was made of, if no other is wanted."""
    file = _sound_file(corpus, feature)
    made_of = DEFAULT_SOUND
    if file.is_file():
        found = read_checked(file, _SOUND)
        made_of = SoundChoice(found.get("track"), found.get("channels"))
    if wanted not in (made_of, DEFAULT_SOUND):
        raise InputError(
            f"{corpus}: its feature {feature} was made of other sound ({_described(made_of)}), expected "
            f"{_described(wanted)}; take a copy of the corpus without that feature"
        )
    return made_of


def _described(sound: SoundChoice) -> str:
    return ", ".join(f"{name} {value or 'by default'}" for name, value in asdict(sound).items())


def _jobs(corpus: Corpus, clips: list[Clip | str], rows: list[int], sound: SoundChoice) -> list[Job]:
    """One job a file, with its spans in the order of time."""
    by_file: dict[Path, list[tuple[float, float | None, int]]] = defaultdict(list)
    for row in rows:
        clip = clips[row]
        if isinstance(clip, Clip):
            by_file[clip.file].append((clip.start, clip.end, row))
    utterances = corpus.utterances
    jobs = []
    for file, found in by_file.items():
        found.sort(key=lambda span: (span[0], span[2]))
        spans, numbers = tuple((start, end) for start, end, _ in found), tuple(row for *_, row in found)
        jobs.append(Job(file, spans, numbers, sound, _seconds(utterances[numbers[0]], spans)))
    return jobs


def _seconds(utterance: Utterance, spans: Sequence[Span]) -> float | None:
    """How long the clip of one utterance should be by the utterance's times."""
    whole = len(spans) == 1 and spans[0][1] is None
    if not whole or utterance.start is None or utterance.end is None or utterance.end <= utterance.start:
        return None
    return utterance.end - utterance.start


def _tell(remarks: Mapping[int, Sequence[str]], clips: Sequence[Clip | str], media: Path) -> None:
    """Warn of each kind of remark once."""
    files: dict[str, list[str]] = defaultdict(list)
    for row, of_row in sorted(remarks.items()):
        for words in of_row:
            files[words].append(_name(clips[row], media))
    for words, of_words in files.items():
        others = f" and {len(of_words) - 1} more" if len(of_words) > 1 else ""
        _log.warning("%s%s: %s", of_words[0], others, words)


def _readable(clip: Clip | str) -> Clip | str:
    """The clip, or why its file cannot even be looked at."""
    if isinstance(clip, Clip):
        try:
            clip.file.stat()
        except OSError as error:
            return f"{clip.file.name} cannot be read ({error.strerror})"
    return clip


def _fingerprint(id: str, clip: Clip | str, media: Path, sound: SoundChoice) -> int:
    """64 bits of a digest of everything that decides a row besides its extractor."""
    if isinstance(clip, str):
        return fingerprint([id, clip])
    try:
        state = clip.file.stat()
        seen = [state.st_size, state.st_mtime_ns]
    except OSError:  # gone since it was found, which its worker tells
        seen = []
    return fingerprint([id, _name(clip, media), clip.start, clip.end, *seen, sound.track, sound.channels])


def _name(clip: Clip | str, media: Path) -> str:
    return _legible(clip.file.relative_to(media).as_posix()) if isinstance(clip, Clip) else ""


def _legible(text: str) -> str:
    """The text with escapes in place of bytes of file names that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()
