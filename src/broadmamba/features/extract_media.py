"""Adding an audio or video feature to a corpus on disk, from a folder of clips or whole recordings.

Worker processes extract the rows; those done are stored in parts, so that a run that was killed goes on where it
was. A stored row is used again only if its file, its span and the file's size and time are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from broadmamba.data.corpus import Corpus, Feature
from broadmamba.errors import InputError
from broadmamba.features.clips import Clip, find_clips
from broadmamba.features.parts import PartStore
from broadmamba.features.present import has_feature
from broadmamba.features.rows import TIME_LIMIT, RowStore, fingerprint
from broadmamba.features.workers import Job, Load
from broadmamba.storage import csv_text, write_text


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
    """

    feature: str
    utterances: int
    failures: tuple[Failure, ...] = ()

    def summary(self) -> list[str]:
        """A line for each reason, the most frequent first: how often, and the first three utterances."""
        times = Counter(failure.reason for failure in self.failures)
        named = {reason: [f.utterance for f in self.failures if f.reason == reason][:3] for reason in times}
        return [
            f"{count} × {reason}: {', '.join(named[reason])}{', …' if count > 3 else ''}"
            for reason, count in times.most_common()
        ]


def report_file(corpus: Path, feature: str) -> Path:
    """Where the report of a feature stands: a CSV file with a row for each failure."""
    return corpus / "reports" / f"{feature}.csv"


def extract_media(
    corpus: Corpus,
    load: Load,
    media: Path,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
    limit: float = TIME_LIMIT,
) -> tuple[Corpus, Report]:
    """Add an extractor's feature to a corpus; a clip that cannot be used leaves its row missing and is reported.

    Args:
        corpus: opened from its folder.
        load: makes the extractor, here for its spec and in each worker; it must be picklable, such as
            `functools.partial(load_audio, "prosody")`.
        media: folder with a clip for each utterance or a recording for each conversation, see `clips`.
        workers: processes at once, each with one thread; the values do not depend on how many.
        progress: called with (utterances done, all utterances) whenever the first has grown.
        limit: seconds that one utterance may take.

    Returns:
        The corpus with the feature, and the report, which `report_file` holds as well. Where the corpus has the
        feature already, both are as they were: no clip is opened, and the report tells of no failure.

    Raises:
        InputError: the corpus is not on disk or has another feature of that name, clips cannot be told apart, or
            not one utterance has a clip that can be used.
    """
    if corpus.path is None:
        raise InputError(f"corpus {corpus.name!r} is only in memory; save it before adding a feature")
    spec = load().spec
    ids = [utterance.id for utterance in corpus.utterances]
    if has_feature(corpus, spec):
        return corpus, Report(spec.name, len(ids))
    clips = find_clips(corpus, media, spec.modality)
    store = PartStore(corpus.path, spec)
    rows = RowStore(store, spec.width, [_fingerprint(id, clip, media) for id, clip in zip(ids, clips, strict=True)])
    for row, clip in enumerate(clips):
        if isinstance(clip, str):
            rows.settle(row, clip)
    rows.fill(load, _jobs(clips, rows.undone()), workers, progress, limit)
    failures = tuple(
        Failure(ids[row], _name(clips[row], media), reason) for row, reason in sorted(rows.reasons.items())
    )
    if len(failures) == len(ids):
        store.clear()  # another try shall be one
        first = next((failure for failure in failures if failure.file), failures[0])
        raise InputError(
            f"{media}: {spec.name} failed for all {len(ids)} utterances, as for {first.utterance} "
            f"({first.file or 'no file'}: {first.reason})"
        )
    write_text(
        report_file(corpus.path, spec.name),
        csv_text(("utterance", "file", "reason"), ((f.utterance, f.file, f.reason) for f in failures)),
    )
    extended = corpus.add_feature(Feature(spec, rows.values))
    store.clear()
    return extended, Report(spec.name, len(ids), failures)


def _jobs(clips: list[Clip | str], rows: list[int]) -> list[Job]:
    """One job a file, with its spans in the order of time."""
    by_file: dict[Path, list[tuple[float, float | None, int]]] = defaultdict(list)
    for row in rows:
        clip = clips[row]
        if isinstance(clip, Clip):
            by_file[clip.file].append((clip.start, clip.end, row))
    jobs = []
    for file, found in by_file.items():
        found.sort(key=lambda span: (span[0], span[2]))
        jobs.append(Job(file, tuple((start, end) for start, end, _ in found), tuple(row for *_, row in found)))
    return jobs


def _fingerprint(id: str, clip: Clip | str, media: Path) -> int:
    """64 bits of a digest of everything that decides a row besides its extractor."""
    if isinstance(clip, str):
        return fingerprint([id, clip])
    state = clip.file.stat()
    return fingerprint([id, _name(clip, media), clip.start, clip.end, state.st_size, state.st_mtime_ns])


def _name(clip: Clip | str, media: Path) -> str:
    return clip.file.relative_to(media).as_posix() if isinstance(clip, Clip) else ""
