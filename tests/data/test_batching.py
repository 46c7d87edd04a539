"""Batches hold each utterance once, at its place, and padding costs little."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.batching import UNLABELLED, Batch, Prepared, bucket, padding_share, prepare
from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.normalise import Normaliser
from broadmamba.data.rows import rows_of
from broadmamba.errors import InputError

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=60)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(lengths=LENGTHS, size=st.integers(1, 70), seed=st.none() | st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_buckets_are_a_partition(lengths: list[int], size: int, seed: int | None) -> None:
    groups = bucket(lengths, size, None if seed is None else seeded(seed))
    assert sorted(itertools.chain(*groups)) == list(range(len(lengths)))
    # All are full but one.
    assert sorted(map(len, groups), reverse=True) == [size] * (len(lengths) // size) + [
        rest for rest in [len(lengths) % size] if rest
    ]


@given(lengths=LENGTHS, size=st.integers(1, 20), seed=st.none() | st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_buckets_are_of_like_length(lengths: list[int], size: int, seed: int | None) -> None:
    groups = bucket(lengths, size, None if seed is None else seeded(seed))
    # In the order of length, one group ends before the next begins, give or take the tenth of jitter.
    by_length = sorted(groups, key=lambda group: sum(lengths[i] for i in group) / len(group))
    slack = 1.0 if seed is None else 1.1
    for shorter, longer in itertools.pairwise(by_length):
        assert max(lengths[i] for i in shorter) <= slack * min(lengths[i] for i in longer)


def test_without_a_generator_the_order_is_fixed_and_with_one_it_changes() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 60, 80)]
    assert bucket(lengths, 8) == bucket(lengths, 8)
    assert bucket(lengths, 8, seeded(1)) == bucket(lengths, 8, seeded(1))
    generator = seeded(1)
    first, second = bucket(lengths, 8, generator), bucket(lengths, 8, generator)
    assert first != second
    assert {frozenset(group) for group in first} != {frozenset(group) for group in second}  # other companions too


def test_padding_share_counts_places() -> None:
    assert padding_share([2, 4, 1], [[0, 1], [2]]) == pytest.approx(2 / 9)
    assert padding_share([3, 3], [[0, 1]]) == 0.0
    assert padding_share([], []) == 0.0


@given(lengths=LENGTHS, size=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_padding_share_is_that_of_the_masks(lengths: list[int], size: int) -> None:
    prepared = Prepared(tuple(lengths), {}, {}, torch.zeros(sum(lengths)), torch.zeros(sum(lengths)))
    masks = [batch.mask for _, batch in prepared.batches(size)]
    padding = sum(int((~mask).sum()) for mask in masks)
    places = sum(mask.numel() for mask in masks)
    assert padding_share(lengths, bucket(lengths, size)) == pytest.approx(padding / places)


def random_prepared(lengths: Sequence[int], seed: int = 0) -> Prepared:
    U, generator = sum(lengths), seeded(seed)
    present = {m: torch.rand(U, generator=generator) < 0.7 for m in ("text", "audio")}
    widths = {"text": 3, "audio": 2}
    return Prepared(
        lengths=tuple(lengths),
        features={m: torch.randn(U, widths[m], generator=generator) * p[:, None] for m, p in present.items()},
        present=present,
        speakers=torch.randint(-1, 3, (U,), generator=generator),
        labels=torch.randint(-1, 4, (U,), generator=generator),
    )


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_batch_holds_the_rows_of_its_conversations(lengths: list[int], data: st.DataObject) -> None:
    prepared = random_prepared(lengths)
    indices = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, max_size=6))
    batch = prepared.batch(indices)
    L = max(lengths[i] for i in indices)
    assert batch.mask.shape == (len(indices), L)
    for b, i in enumerate(indices):
        start = sum(lengths[:i])
        for place in range(L):
            here = place < lengths[i]
            row = start + place
            assert batch.mask[b, place] == here
            assert batch.speakers[b, place] == (prepared.speakers[row] if here else -1)
            assert batch.labels[b, place] == (prepared.labels[row] if here else UNLABELLED)
            for m in ("text", "audio"):
                assert batch.present[m][b, place] == (here and bool(prepared.present[m][row]))
                expected = prepared.features[m][row] if here else torch.zeros_like(prepared.features[m][0])
                assert torch.equal(batch.features[m][b, place], expected)


def test_batches_name_the_conversations_they_hold() -> None:
    prepared = random_prepared([4, 9, 1, 4, 2])
    seen = []
    for indices, batch in prepared.batches(2, seeded(0)):
        seen += indices
        assert torch.equal(batch.mask.sum(1), torch.tensor([prepared.lengths[i] for i in indices]))
        assert torch.equal(batch.labels, prepared.batch(indices).labels)
    assert sorted(seen) == [0, 1, 2, 3, 4]


CONVERSATIONS = (
    Conversation("a", (Utterance("a0", speaker="Ann", label="sad"), Utterance("a1", speaker=None, label="glad"))),
    Conversation("b", (Utterance("b0", speaker="Bob"), Utterance("b1", speaker="Ann"), Utterance("b2", speaker="Bob"))),
)
LABELS = LabelSet(["glad", "sad"])


def test_preparing_turns_names_into_numbers_and_normalises() -> None:
    values = np.array([[1.0], [3.0], [np.nan], [5.0], [1.0]], dtype=np.float32)
    normaliser = Normaliser(np.array([1.0], np.float32), np.array([2.0], np.float32))
    prepared = prepare(
        CONVERSATIONS, LABELS, rows_of(CONVERSATIONS, {"text": normaliser, "audio": normaliser}, {"text": values})
    )
    assert prepared.lengths == (2, 3)
    assert prepared.labels.tolist() == [1, 0, UNLABELLED, UNLABELLED, UNLABELLED]
    assert prepared.speakers.tolist() == [0, -1, 0, 1, 0]
    assert prepared.features["text"].flatten().tolist() == [0.0, 1.0, 0.0, 2.0, 0.0]
    assert prepared.present["text"].tolist() == [True, True, False, True, True]
    assert set(prepared.features) == {"text"}  # audio was not given, so it is absent and not zero


def test_an_unknown_label_is_refused_with_the_nearest_one() -> None:
    odd = Conversation("c", (Utterance("c0", label="saad"),))
    with pytest.raises(InputError, match=r"unknown label 'saad'; known are glad, sad \(did you mean sad\?\)"):
        prepare([odd], LABELS, rows_of([odd], {}, {}))


def test_taking_modalities_away_leaves_the_rest() -> None:
    batch = random_prepared([3, 2]).batch([0, 1])
    left = batch.without("audio")
    assert list(left.features) == list(left.present) == ["text"]
    assert left.features["text"] is batch.features["text"]
    assert list(batch.features) == ["text", "audio"]


def test_a_batch_in_another_precision_changes_its_features_alone() -> None:
    batch = random_prepared([3, 2]).batch([0, 1])
    precise: Batch = batch.to("cpu", torch.float64)
    assert all(x.dtype == torch.float64 for x in precise.features.values())
    assert precise.mask.dtype == torch.bool and precise.labels.dtype == torch.long
    assert torch.equal(precise.features["text"].float(), batch.features["text"])


def real_lengths(file: Path) -> list[int]:
    """Utterances of each dialogue of the training split."""
    rows = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    dialogues = [row["dialogue"] for row in rows if row["split"] == "train"]
    return [dialogues.count(dialogue) for dialogue in dict.fromkeys(dialogues)]


@pytest.mark.parametrize(("corpus", "size"), [("iemocap", 4), ("iemocap", 16), ("meld", 16)])
def test_bucketing_saves_padding_on_real_corpora(shared_data: Path, corpus: str, size: int) -> None:
    lengths = real_lengths(shared_data / corpus / "utterances.jsonl")
    shuffled = torch.randperm(len(lengths), generator=seeded(0)).tolist()
    as_they_come = padding_share(lengths, [shuffled[i : i + size] for i in range(0, len(shuffled), size)])
    to_the_longest = 1 - sum(lengths) / (max(lengths) * len(lengths))
    fixed = padding_share(lengths, bucket(lengths, size))
    jittered = [padding_share(lengths, bucket(lengths, size, seeded(s))) for s in range(20)]
    print(
        f"{corpus}, batches of {size}: {to_the_longest:.1%} padding to the longest conversation, {as_they_come:.1%} in "
        f"random batches, {fixed:.1%} bucketed, {np.mean(jittered):.1%} bucketed and shuffled"
    )
    assert fixed <= min(jittered)
    assert max(jittered) < as_they_come < to_the_longest
    assert max(jittered) < 0.2
