"""Systems that train a text encoder, and the token ids that they read."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_encoders import LIMIT, build_encoder
from torch.nn import functional as F

from broadmamba.baselines.compm import CoMpm
from broadmamba.baselines.emoberta import EmoBerta
from broadmamba.baselines.systems import SYSTEMS, make
from broadmamba.baselines.token_encoder import TokenSystem
from broadmamba.baselines.token_passages import Passages
from broadmamba.data.batching import Batch
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.errors import CheckpointError, InputError
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.encoder_files import load_encoder_files
from broadmamba.testing import check_model
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.fit import fit
from corpora import make_corpus, make_text_corpus

TOKEN_SYSTEMS = [name for name, kind in SYSTEMS.items() if kind.model.reads_tokens]
KINDS = ["bert", "roberta", "mpnet"]


def build(name: str, settings: dict[str, Any]) -> Any:
    """An untrained model of a system with these settings."""
    return make(name, SYSTEMS[name].config.from_dict(settings))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders")
    return {kind: build_encoder(kind, folder / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def corpus(folders: dict[str, Path]) -> Corpus:
    """With the token ids and the vectors of a tiny encoder, and audio."""
    plain = make_text_corpus(folders["bert"])
    ids = TextEncoder.load(str(folders["bert"]), "tokens")
    texts = [u.text for c in plain.conversations for u in c]
    audio = make_corpus().features["tiny-audio"]
    features = {ids.spec.name: Feature(ids.spec, ids.encode(texts)), audio.spec.name: audio}
    return replace(plain, features={**plain.features, **features})


def small(folder: Path, **settings: object) -> dict[str, object]:
    return {"encoder": str(folder), "limit": LIMIT, "rank": 2, "hidden": 12, **settings}


def config_of(name: str, folder: Path, **changes: object) -> TrainingConfig:
    values = {"system": name, "epochs": 1, "batch_size": 2, "learning_rate": 3e-3, "model": small(folder)}
    return TrainingConfig.from_dict({**values, **changes})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TOKEN_SYSTEMS)
def test_a_system_has_the_properties_of_every_model(name: str, kind: str, folders: dict[str, Path]) -> None:
    torch.manual_seed(0)
    check_model(build(name, small(folders[kind], widths={"text": 6}, classes=4)))


@pytest.mark.parametrize("name", TOKEN_SYSTEMS)
def test_a_system_learns_and_its_folder_gives_it_back(
    name: str, corpus: Corpus, folders: dict[str, Path], tmp_path: Path
) -> None:
    fitted = fit(corpus, config_of(name, folders["bert"], epochs=6))
    losses = [epoch.loss["total"] for epoch in fitted.history]
    assert losses[-1] < 0.9 * losses[0]
    assert fitted.checkpoint.modalities == ("text",) and not fitted.checkpoint.normalisers
    fitted.checkpoint.save(tmp_path / "model")
    stored = Checkpoint.load(tmp_path / "model")
    assert (stored.system, stored.model.config) == (name, fitted.checkpoint.model.config)
    test = corpus.split("test")
    said, again = (one.score(one.prepare_split(test)).probabilities for one in (fitted.checkpoint, stored))
    np.testing.assert_array_equal(said, again)


def test_ids_reach_the_model_as_they_are(corpus: Corpus, folders: dict[str, Path]) -> None:
    values = corpus.features["bert-tokens"].values.copy()
    values[0] = np.nan
    gone = replace(corpus, features={"bert-tokens": Feature(corpus.features["bert-tokens"].spec, values)})
    checkpoint = fit(gone, config_of("emoberta", folders["bert"])).checkpoint
    prepared = checkpoint.prepare(gone.conversations, gone.features)
    assert torch.equal(prepared.features["text"][1:], torch.from_numpy(values[1:]))
    assert not prepared.features["text"][0].any() and prepared.present["text"].tolist() == [False] + [True] * (
        len(values) - 1
    )


def test_ids_and_other_features_are_not_mixed_up(corpus: Corpus, folders: dict[str, Path], tmp_path: Path) -> None:
    ours = {"epochs": 1, "model": {"d_model": 8, "n": 2, "m": 2}}
    # each system takes of a corpus what it reads
    assert fit(corpus, TrainingConfig.from_dict(ours)).checkpoint.features["text"][0].name == "bert"
    with pytest.raises(InputError, match=r"broadmamba cannot read token ids \(bert-tokens\)"):
        fit(corpus, TrainingConfig.from_dict({**ours, "features": {"text": ["bert", "bert-tokens"]}}))
    both = {"text": ["bert-tokens"], "audio": ["tiny-audio"]}
    for features in ({"text": ["bert"]}, {"text": ["bert-tokens", "bert"]}, both):
        with pytest.raises(InputError, match=r"compm trains a text encoder itself .* --pooling tokens"):
            fit(corpus, config_of("compm", folders["bert"], features=features))
    with pytest.raises(InputError, match="found bert-tokens and speaker_relative"):
        fit(corpus, config_of("compm", folders["bert"], speaker_relative=["text"]))
    with pytest.raises(InputError, match=r"no feature that emoberta reads; .* --pooling tokens"):
        fit(replace(corpus, features={"bert": corpus.features["bert"]}), config_of("emoberta", folders["bert"]))
    with pytest.raises(InputError, match="cannot read the token ids of another, bert-tokens"):
        fit(corpus, config_of("emoberta", folders["roberta"]))
    fit(corpus, config_of("compm", folders["bert"])).checkpoint.save(tmp_path / "model")
    config = tmp_path / "model" / "manifest.json"
    config.write_text(config.read_text("utf-8").replace('"pooling": "tokens"', '"pooling": "mean"'), "utf-8")
    with pytest.raises(CheckpointError, match="the normalisation of text is none"):
        Checkpoint.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 7}, "limit: expected a whole number of at least 8"),
        ({"limit": LIMIT + 1}, f"limit: expected at most the {LIMIT} tokens"),
        ({"layers": 0}, "layers: expected"),
        ({"widths": {"text": 6, "audio": 3}}, "widths: expected text alone"),
        ({"encoder": "minilmm"}, "unknown text encoder 'minilmm'"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    settings: dict[str, object], message: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match=message):
        build("emoberta", small(folders["bert"], **{"widths": {"text": 6}, "classes": 3, **settings}))


def test_an_encoder_of_another_build_is_refused(tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    folder = build_encoder("bert", tmp_path / "other")
    DistilBertModel(DistilBertConfig(vocab_size=44, dim=12, hidden_dim=16, n_layers=1, n_heads=2)).save_pretrained(
        folder
    )
    with pytest.raises(InputError, match="is of the build 'distilbert', expected bert"):
        build("compm", small(folder, widths={"text": 6}, classes=3))


@pytest.mark.parametrize("kind", KINDS)
def test_passages_are_read_as_transformers_reads_them(kind: str, folders: dict[str, Path]) -> None:
    """Before anything is learnt, every layer: the learning ones, the frozen ones, and the mean of all of them."""
    torch.manual_seed(0)
    lengths = [3, LIMIT, 3, 9, 1, 12]
    ids = torch.randint(4, 44, (len(lengths), LIMIT))
    place = torch.arange(LIMIT)
    own = (place >= torch.tensor(lengths)[:, None] // 3) & (place < torch.tensor(lengths)[:, None])
    read = Passages(ids, torch.tensor(lengths), own)
    for layers in (1, 2, 4, 9):
        model = build("compm", small(folders[kind], widths={"text": 6}, classes=4, layers=layers)).double()
        assert isinstance(model, CoMpm)
        whole = load_encoder_files(str(folders[kind])).model.double()
        for name, parameter in model.named_parameters():
            if name.endswith(".B"):
                torch.nn.init.zeros_(parameter)
        with torch.no_grad():
            states = [whole(row[None, :n]).last_hidden_state[0] for row, n in zip(ids, lengths, strict=True)]
            turns = torch.stack([s[n // 3 :].mean(0) for s, n in zip(states, lengths, strict=True)])
            torch.testing.assert_close(model.encoder(read), turns)
            means = torch.stack([s.mean(0) for s in states])
            for _ in range(2):  # computed, and remembered
                torch.testing.assert_close(model.encoder.alone(read), means)


def test_what_is_learnt_acts_on_the_context_alone(folders: dict[str, Path]) -> None:
    model = build("compm", small(folders["bert"], widths={"text": 6}, classes=4))
    assert isinstance(model, CoMpm)
    ids = torch.randint(4, 44, (3, 9))
    read = Passages(ids, torch.tensor([9, 4, 6]), ids > 9)
    other = copy.deepcopy(model)
    for name, parameter in other.named_parameters():
        if name.endswith(".B"):
            torch.nn.init.normal_(parameter)
    with torch.no_grad():
        assert torch.equal(model.encoder.alone(read), other.encoder.alone(read))
        assert (model.encoder(read) - other.encoder(read)).abs().max() > 0.1


def test_what_other_weights_made_is_not_used(folders: dict[str, Path]) -> None:
    def fresh() -> CoMpm:
        made = build("compm", small(folders["bert"], widths={"text": 6}, classes=4))
        assert isinstance(made, CoMpm)
        return made

    ids = torch.randint(4, 44, (3, 9))
    read = Passages(ids, torch.tensor([9, 4, 6]), ids > 9)
    with torch.no_grad():
        model, used, unused = fresh(), fresh(), fresh()
        before = model.encoder(read), model.encoder.alone(read)
        used.encoder(read), used.encoder.alone(read)
        changed = {name: 1.5 * x if ".lower." in name else x for name, x in model.state_dict().items()}
        for other in (used, unused):
            other.load_state_dict(changed)
        assert torch.equal(used.encoder(read), unused.encoder(read))
        assert torch.equal(used.encoder.alone(read), unused.encoder.alone(read))
        assert (used.encoder(read) - before[0]).abs().max() > 0.01
        assert torch.equal(model.encoder(read), before[0]) and torch.equal(model.encoder.alone(read), before[1])


SAID = [
    [(0, "i have a plan ."), (1, "you do ?"), (0, ""), (-1, "who is there ?"), (1, "nobody at all , we hope .")],
    [(3, "good morning .")],
]


def spoken(said: Sequence[Sequence[tuple[int, str]]]) -> Batch:
    """A batch of MiniLM's token ids."""
    encoder = TextEncoder.load("minilm", "tokens")
    longest = max(map(len, said))
    mask = torch.tensor([[i < len(turns) for i in range(longest)] for turns in said])
    text = torch.zeros(len(said), longest, encoder.spec.width)
    text[mask] = torch.from_numpy(encoder.encode([words for turns in said for _, words in turns]))
    speakers = torch.full(mask.shape, -1)
    speakers[mask] = torch.tensor([who for turns in said for who, _ in turns])
    return Batch({"text": text}, {"text": mask}, mask, speakers, speakers)


def passages_of(model: TokenSystem, batch: Batch) -> list[str]:
    """What is read for each utterance, the utterance itself in brackets."""
    assert isinstance(model, (CoMpm, EmoBerta))
    read = model.passages(model.turns(batch.features, batch.present, batch))
    tokenizer = load_encoder_files("minilm").tokenizer
    found = []
    for row, length, own in zip(*read, strict=True):
        words = tokenizer.convert_ids_to_tokens(row[:length])
        begin, end = own.nonzero()[[0, -1], 0].tolist()
        assert own.sum() == end + 1 - begin
        found.append(" ".join([*words[:begin], "<", *words[begin : end + 1], ">", *words[end + 1 :]]))
    return found


def test_emoberta_reads_the_turns_before_and_after() -> None:
    batch = spoken(SAID)
    settings = {"widths": {"text": 48}, "classes": 3, "limit": 64, "past": 32, "future": 16}
    found = passages_of(build("emoberta", settings), batch)
    s = "[SEP] [SEP]"
    turns = ["a : i have a plan .", "b : you do ?", "a :", "? : who is there ?", "b : nobody at all , we hope ."]
    assert found[0] == f"[CLS] {s} < {turns[0]} > {s} {' '.join(turns[1:4])} b : nobody [SEP]"  # 16 tokens after
    assert found[2] == f"[CLS] {' '.join(turns[:2])} {s} < a : > {s} {' '.join(turns[3:])} [SEP]"
    assert found[4] == f"[CLS] {' '.join(turns[:4])} {s} < {turns[4]} > {s} [SEP]"
    assert found[5] == f"[CLS] {s} < d : good morning . > {s} [SEP]"
    assert len(found) == 6
    tight = passages_of(build("emoberta", {**settings, "limit": 16, "past": 4, "future": 2}), batch)
    assert (
        tight[3] == f"[CLS] do ? a : {s} < {turns[3]} > {s} [SEP]"
    )  # the turn first, then what was before, then after
    assert tight[2] == f"[CLS] : you do ? {s} < a : > {s} ? : [SEP]"
    assert tight[4] == f"[CLS] ? {s} < {turns[4]} > {s} [SEP]"


def test_compm_reads_what_was_said_so_far() -> None:
    batch = spoken(SAID)
    found = passages_of(build("compm", {"widths": {"text": 48}, "classes": 3}), batch)
    assert found[3] == "[CLS] a i have a plan . b you do ? a < ? who is there ? > [SEP]"
    assert found[5] == "[CLS] < d good morning . > [SEP]"
    tight = passages_of(build("compm", {"widths": {"text": 48}, "classes": 3, "limit": 8}), batch)
    assert tight[1] == "[CLS] plan . < b you do ? > [SEP]"
    assert tight[4] == "[CLS] < b nobody at all , we > [SEP]"


def test_compm_remembers_what_the_speaker_said_before() -> None:
    model = build("compm", {"widths": {"text": 48}, "classes": 3, "hidden": 7}).eval()
    assert isinstance(model, CoMpm)
    batch = spoken([*SAID, [(0, "yes ."), (1, "no ."), (1, "yes ."), (0, "no ."), (1, "maybe .")]])
    turns = model.turns(batch.features, batch.present, batch)
    with torch.no_grad():
        said = F.layer_norm(model.encoder.alone(model.single(turns)), (384,))
        found = model.track(said, batch.mask, batch.speakers)
        cell = torch.nn.GRUCell(384, 7)
        cell.load_state_dict({k.removesuffix("_l0"): v for k, v in model.tracking.state_dict().items()})
        remembered: dict[tuple[int, int], torch.Tensor] = {}
        for i, (b, place) in enumerate(batch.mask.nonzero().tolist()):
            who = (b, int(batch.speakers[b, place]))
            before = remembered.get(who, torch.zeros(1, 7))
            torch.testing.assert_close(found[i], before[0])
            remembered[who] = cell(said[i : i + 1], before)
        # one utterance alone is the feature that other systems read
        plain = TextEncoder.load("minilm").encode(["i have a plan ."])
        torch.testing.assert_close(said[:1], F.layer_norm(torch.from_numpy(plain), (384,)), atol=1e-4, rtol=0)


def test_an_encoder_that_settings_name_is_never_downloaded(
    no_network: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"not in the Hugging Face cache.*broadmamba fetch somebody/encoder$"):
        build("compm", {"widths": {"text": 6}, "classes": 3, "encoder": "somebody/encoder"})
    assert not no_network
