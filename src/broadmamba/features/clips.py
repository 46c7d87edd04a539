"""Which file holds an utterance: a clip of its own, or a recording of its conversation and a span of it.

A file is known by its name without suffix, in any sub-folder: the utterance's id, or the conversation's. Ids of
corpora that number each split anew begin with the split's name (`train_dia0_utt3`); their files may leave it out
(MELD's `dia0_utt3.mp4`, which is there in every split), and then a folder has to name the split.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts"})

_log = logging.getLogger(__name__)

NO_CLIP = "no clip was found"


@dataclass(frozen=True, slots=True)
class Clip:
    """A span of a file.

    Attributes:
        file: the recording.
        start: in seconds.
        end: in seconds, or None for the recording's end.
    """

    file: Path
    start: float = 0.0
    end: float | None = None


def find_clips(corpus: Corpus, media: Path, modality: str) -> list[Clip | str]:
    """The clip of each utterance, or in a few words why it has none.

    Args:
        corpus: whose ids name the files.
        media: folder with the files, in any sub-folders; hidden ones and those of macOS (`._…`) are passed over.
        modality: for `audio`, a sound file is taken rather than a video of the same name; for `video`, videos alone.

    Returns:
        One entry an utterance, in row order.

    Raises:
        InputError: the folder is none, no file in it belongs to any utterance, or it cannot be told which file
            is the clip of an utterance.
    """
    if not media.is_dir():
        raise InputError(
            f"{media}: expected a folder of recordings, found a file"
            if media.exists()
            else f"{media}: there is no such folder of recordings"
        )
    folder = _MediaFolder(corpus, media, modality)
    clips = [folder.clip(conversation, u) for conversation in corpus.conversations for u in conversation]
    if all(clip == NO_CLIP for clip in clips):
        first = corpus.conversations[0]
        names = (*folder.names(first.utterances[0].id, first), *folder.names(first.id, first))
        kind = "sound or video" if modality == "audio" else "video"
        raise InputError(
            f"{media}: none of its {folder.size} {kind} files belongs to an utterance of the corpus; expected names "
            f"such as {', '.join(dict.fromkeys(names))}, with a suffix such as .mp4"
        )
    return clips


class _MediaFolder:
    """The files of a folder by name, listed once, and how the ids of a corpus become names."""

    def __init__(self, corpus: Corpus, media: Path, modality: str) -> None:
        self._media = media
        self._splits = tuple(corpus.splits)
        self._split_of = {id: split for split, ids in corpus.splits.items() for id in ids}
        ids = ((id, c) for c in corpus.conversations for id in {c.id, *(u.id for u in c)})
        self._claims = Counter(self.names(id, conversation)[-1] for id, conversation in ids)
        files = list(_files_below(media))
        preferred = (SOUND_SUFFIXES, VIDEO_SUFFIXES) if modality == "audio" else (VIDEO_SUFFIXES,)
        self._indexes = [_by_name(files, suffixes) for suffixes in preferred]
        self.size = sum(len(found) for index in self._indexes for found in index.values())

    def names(self, id: str, conversation: Conversation) -> tuple[str, ...]:
        """The id, and what is left of it without its split's name where it begins with that."""
        short = id.removeprefix(f"{self._split_of.get(conversation.id)}_")
        return (id,) if short in (id, "") else (id, short)

    def clip(self, conversation: Conversation, utterance: Utterance) -> Clip | str:
        if file := self._file(utterance.id, conversation):
            return Clip(file)
        if not (file := self._file(conversation.id, conversation)):
            return NO_CLIP
        start, end = utterance.start, utterance.end
        if start is None or end is None:
            return "its conversation is one recording, and it has no start and end in it"
        if not 0 <= start < end:
            return f"its times are no span of its conversation's recording ({start} to {end} s)"
        return Clip(file, start, end)

    def _file(self, id: str, conversation: Conversation) -> Path | None:
        for name in self.names(id, conversation):
            for index in self._indexes:
                found = index.get(name, [])
                if name != id:
                    found = self._of_split(found, self._split_of[conversation.id], name)
                if len(found) > 1:
                    raise InputError(
                        f"{self._media}: both {found[0].relative_to(self._media)} and "
                        f"{found[1].relative_to(self._media)} could be the clip of {id}; expected one of them"
                    )
                if found:
                    return found[0]
        return None

    def _of_split(self, files: list[Path], split: str, name: str) -> list[Path]:
        """Those in a folder that names the split, or else those of which no folder names any."""
        named = {file: self._split_named_by(file) for file in files}
        if own := [file for file in files if named[file] == split]:
            return own
        unnamed = [file for file in files if named[file] is None]
        if unnamed and self._claims[name] > 1:
            raise InputError(
                f"{unnamed[0]}: {name} is there in more than one split of the corpus; expected it in a folder that "
                f"names its split ({', '.join(self._splits)})"
            )
        return unnamed

    def _split_named_by(self, file: Path) -> str | None:
        """The split that the nearest folder names, as `output_repeated_splits_test` names `test`."""
        for folder in reversed((self._media.resolve().name, *file.relative_to(self._media).parent.parts)):
            words = re.split(r"[^a-z0-9]+", folder.lower())
            named = [split for split in self._splits if split.lower() in words]
            if len(named) == 1:
                return named[0]
        return None


def _by_name(files: list[Path], suffixes: frozenset[str]) -> dict[str, list[Path]]:
    index: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if file.suffix.lower() in suffixes:
            index[file.stem].append(file)
    return dict(index)


def _files_below(folder: Path) -> Iterator[Path]:
    """All files that are not hidden, sorted; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=_tell_unread, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _tell_unread(error: OSError) -> None:
    _log.warning("%s: the folder cannot be read (%s) and is passed over", error.filename, error.strerror)
