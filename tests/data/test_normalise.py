"""Standardisation against scikit-learn's, with gaps, constant columns and outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.normalise import LIMIT, Normaliser, relative_to_speaker
from broadmamba.errors import InputError

VALUES = st.one_of(st.just(float("nan")), st.integers(-1000, 1000).map(lambda i: i / 8))
MATRICES = arrays.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 5)), elements=VALUES)


@given(values=MATRICES)
@settings(max_examples=60, deadline=None)
def test_it_is_scikit_learns_scaler_with_gaps_left_out(values: NDArray[np.float32]) -> None:
    if np.isnan(values).all(axis=0).any():
        with pytest.raises(InputError):
            Normaliser.fit(values)
        return
    ours = Normaliser.fit(values)
    theirs = StandardScaler().fit(values.astype(np.float64))
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.scale, theirs.scale_, rtol=1e-5)
    scaled, present = ours.apply(values)
    expected = np.clip(np.nan_to_num(theirs.transform(values.astype(np.float64)), nan=0.0), -LIMIT, LIMIT)
    np.testing.assert_allclose(scaled, expected, atol=1e-4)
    assert present.tolist() == [not np.isnan(row).all() for row in values]


def test_what_was_fitted_on_has_mean_0_and_deviation_1() -> None:
    values = np.random.default_rng(0).normal([3, -200, 1e5], [0.1, 50, 2], (500, 3)).astype(np.float32)
    scaled, present = Normaliser.fit(values).apply(values)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=5e-3)  # float32 holds 1e5 ± 2 to about 4e-3
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-3)
    assert scaled.dtype == np.float32
    assert present.all()


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e30])
def test_a_constant_column_becomes_zero(value: float) -> None:
    values = np.full((50, 1), value, dtype=np.float32)
    fitted = Normaliser.fit(values)
    assert fitted.scale.tolist() == [1.0]
    assert not fitted.apply(values)[0].any()


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e9])
def test_the_unit_of_a_column_does_not_matter(size: float) -> None:
    values = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    expected, _ = Normaliser.fit(values).apply(values)
    sized = (values * size).astype(np.float32)
    np.testing.assert_allclose(Normaliser.fit(sized).apply(sized)[0], expected, rtol=1e-4, atol=1e-5)


def test_outliers_are_clipped() -> None:
    values = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    fitted = Normaliser.fit(values)
    extreme = np.array([[1e6], [-1e6], [0.5]], dtype=np.float32)
    assert fitted.apply(extreme)[0][:2].flatten().tolist() == [LIMIT, -LIMIT]
    assert abs(fitted.apply(extreme)[0][2, 0]) < 1


def test_a_column_without_any_value_is_named() -> None:
    values = np.array([[1.0, np.nan], [2.0, np.nan]], dtype=np.float32)
    with pytest.raises(InputError, match="prosody: column 1 has no value in any training utterance"):
        Normaliser.fit(values, "prosody")


def talk(id: str, speakers: list[str | None]) -> Conversation:
    return Conversation(id, tuple(Utterance(f"{id}{i}", speaker=s) for i, s in enumerate(speakers)))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_differences_are_from_the_speakers_mean_in_the_conversation(data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(["Ann", "Bob", None]), min_size=1, max_size=8)
    conversations = [
        talk(f"c{i}", speakers) for i, speakers in enumerate(data.draw(st.lists(some, min_size=1, max_size=4)))
    ]
    spoken = [(c.id, u.speaker) for c in conversations for u in c]
    values: NDArray[Any] = data.draw(arrays.arrays(np.float32, (len(spoken), 2), elements=VALUES))
    found = relative_to_speaker(values, conversations)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :2], values)
    for row, who in enumerate(spoken):
        for column in range(2):
            same = [
                float(values[other, column])
                for other, someone in enumerate(spoken)
                if someone == who and not np.isnan(values[other, column])
            ]
            expected = float(values[row, column]) - sum(same) / len(same) if same else float("nan")
            assert found[row, 2 + column] == pytest.approx(expected, abs=1e-4, nan_ok=True)
