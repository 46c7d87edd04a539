"""What recognition gives: a label with its probability for each utterance, and what each modality weighed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from broadmamba.data.conversation import Utterance
from broadmamba.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from pandas import DataFrame

NOTICE = "Labels say how acted dialogue like this is perceived, not what people feel; see RESPONSIBLE_USE.md."
"""One line to show wherever predictions are shown to people."""


@dataclass(frozen=True, slots=True)
class UtterancePrediction:
    """The emotion of one utterance.

    Attributes:
        utterance: what was labelled.
        label: the most probable emotion.
        probability: of `label`, 0 to 1.
        probabilities: of every label, in the model's order; they sum to 1.
        modality_weights: how much each of the model's modalities counted, 0 to 1.
        present: the modalities that this utterance had.
    """

    utterance: Utterance
    label: str
    probability: float
    probabilities: dict[str, float]
    modality_weights: dict[str, float]
    present: tuple[str, ...]

    @property
    def text(self) -> str:
        """What was said."""
        return self.utterance.text

    @property
    def speaker(self) -> str | None:
        """Who said it, or None where nobody knows."""
        return self.utterance.speaker

    @property
    def start(self) -> float | None:
        """Seconds from the start of the recording, or None."""
        return self.utterance.start

    @property
    def end(self) -> float | None:
        """Seconds from the start of the recording, or None."""
        return self.utterance.end


@dataclass(frozen=True, slots=True, repr=False)
class ConversationPrediction(Sequence[UtterancePrediction]):
    """The emotions of one conversation: a sequence with a prediction an utterance, in their order.

    Printed it is a table; in a notebook too.

    Attributes:
        conversation: the conversation's id.
        utterances: one prediction an utterance, in their order.
        model: name of the model that made them.
        recording: that was recognised, by its absolute path; None where only words were.
        duration: of the recording in seconds; None where there is none or it states none.
        source: the file that was read, a recording or a transcript, by its absolute path; None of a pipe, and of a
            conversation that was made in Python.
        transcript: the file with what is said in the recording, by its absolute path, if one was read.

    Example:
        >>> result = broadmamba.recognize("kitchen.vtt")
        >>> len(result), result[2].speaker, result[2].label
        (16, 'Lin', 'joy')
        >>> [item.text for item in result if item.probability > 0.95]
        ['Lin, that is wonderful! I am so happy for you!']
    """

    conversation: str
    utterances: tuple[UtterancePrediction, ...]
    model: str
    recording: Path | None = None
    duration: float | None = None
    source: Path | None = None
    transcript: Path | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[UtterancePrediction]:
        return iter(self.utterances)

    @overload
    def __getitem__(self, index: int) -> UtterancePrediction: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[UtterancePrediction, ...]: ...

    def __getitem__(self, index: int | slice) -> UtterancePrediction | tuple[UtterancePrediction, ...]:
        return self.utterances[index]

    def __repr__(self) -> str:
        counts = Counter(item.label for item in self).most_common()
        labels = ", ".join(f"{count} {label}" for label, count in counts)
        return f"<ConversationPrediction {self.conversation!r} by {self.model!r}: {labels or 'no utterances'}>"

    def __str__(self) -> str:
        from broadmamba.recognition.writers import table_text

        return table_text(self)

    def _repr_html_(self) -> str:
        from broadmamba.recognition.writers import table_html

        return table_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as values that JSON has.

        Returns:
            `conversation`, `model`, `source`, and `utterances`, each with the other keys of a line of JSONL.

        Example:
            >>> utterance = broadmamba.recognize("kitchen.vtt").to_dict()["utterances"][2]
            >>> utterance["speaker"], utterance["label"]
            ('Lin', 'joy')
        """
        from broadmamba.recognition.writers import records

        common = {"conversation": self.conversation, "model": self.model, "source": self._source_from_here()}
        rows = records(self, common["source"])
        return {**common, "utterances": [{key: row[key] for key in row if key not in common} for row in rows]}

    def to_pandas(self) -> DataFrame:
        """A data frame with a row an utterance and the columns of the CSV.

        Raises:
            MissingExtraError: pandas is not installed.

        Example:
            >>> frame = broadmamba.recognize("kitchen.vtt").to_pandas()
            >>> frame.groupby("speaker")["p_joy"].mean().idxmax()
            'Lin'
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError:
            raise MissingExtraError("a data frame needs pandas: pip install pandas") from None
        from broadmamba.recognition.writers import columns_and_rows

        columns, rows = columns_and_rows(self, self._source_from_here())
        return DataFrame(list(rows), columns=columns)

    def save(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        overwrite: bool = False,
        caption_speakers: bool = False,
        excel: bool = False,
    ) -> list[Path]:
        """Write one file, or all formats and the report into a folder, each file whole or not at all.

        What was read is never replaced, and what stands at `path` only if it was made from the same source.

        Args:
            path: `.jsonl`, `.csv`, `.vtt`, `.eaf`, `.TextGrid`, `.html` or `.txt`; a name without suffix is a folder.
            format: `jsonl`, `csv`, `vtt`, `eaf`, `textgrid`, `html` or `table`; None goes by the name.
            overwrite: replace what stands there, whatever it was made from.
            caption_speakers: captions name the speaker; most players show no voices.
            excel: CSV that Excel opens with a double click.

        Returns:
            The files.

        Raises:
            InputError: the format is unknown, or needs times where the conversation has none; something else stands
                there; or it cannot be written.

        Example:
            >>> broadmamba.recognize("kitchen.vtt").save("labels.csv")
            [PosixPath('labels.csv')]
        """
        from broadmamba.recognition import outputs
        from broadmamba.storage import check_writable, refuse_replacing

        if not isinstance(path, (str, Path)):
            raise InputError(f"expected a file or folder to write as a path, found {type(path).__name__}")
        if format is not None and not isinstance(format, str):
            raise InputError(f"expected a format by its name, found {type(format).__name__}")
        out = Path(path)
        chosen = outputs.choose_format(format, out)
        files = outputs.output_files(out, chosen)
        for file in files:
            check_writable(file)
        refuse_replacing(files, [self.source, self.transcript])
        if not overwrite:
            outputs.refuse_replacing_others(out, chosen, self.source)
        setting = outputs.Setting(caption_speakers=caption_speakers, excel=excel)
        return outputs.write_outputs(self, out, chosen, self.source, setting, is_recording=self.recording is not None)

    def _source_from_here(self) -> str | None:
        from broadmamba.recognition.outputs import source_as_seen_from

        return source_as_seen_from(Path(), self.source)
