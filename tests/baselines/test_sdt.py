"""SDT's gates and its self-distillation, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from broadmamba.baselines.sdt import Sdt, SdtConfig
from broadmamba.data.batching import UNLABELLED
from broadmamba.errors import InputError
from broadmamba.testing.subject import random_conversations

WIDTHS = {"text": 6, "audio": 3, "video": 4}


def small(**settings: float) -> Sdt:
    torch.manual_seed(0)
    return Sdt(SdtConfig(widths=WIDTHS, classes=4, hidden=8, **settings)).double().eval()


def test_students_are_charged_for_labels_and_for_what_the_teacher_says() -> None:
    model = small(temperature=3.0, hard=0.5, soft=2.0)
    batch = random_conversations(WIDTHS, 4, (6, 1, 9)).batch(range(3)).to("cpu", torch.float64)
    output = model(batch)
    teacher, students = (output.logits.detach().numpy(), output.terms["students"].detach().numpy())
    hard, soft, count = 0.0, 0.0, 0
    for b, i in zip(*np.nonzero(batch.labels.numpy() != UNLABELLED), strict=True):
        count += 1
        for number, m in enumerate(WIDTHS):
            if batch.present[m][b, i]:
                hard -= log_softmax(students[b, i, number])[batch.labels[b, i]]
                soft += rel_entr(softmax(teacher[b, i] / 3), softmax(students[b, i, number] / 3)).sum()
    found = model.auxiliary(output, batch.labels)
    assert soft > 0
    assert found["hard"].item() == pytest.approx(0.5 * hard / count)
    assert found["soft"].item() == pytest.approx(2 * soft / count)


def test_the_teacher_does_not_learn_from_its_students() -> None:
    model = small()
    batch = random_conversations(WIDTHS, 4, (6, 4)).batch(range(2)).to("cpu", torch.float64)
    model.auxiliary(model(batch), batch.labels)["soft"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(bool(p.grad.any()) for p in model.students.parameters() if p.grad is not None)


def test_gates_share_out_each_channel_among_the_modalities_that_are_here() -> None:
    model = small()
    assert model.balance is not None
    h = torch.randn(1, 3, 3, 8).double()
    here = torch.tensor([[[True, True, True], [True, False, True], [False, False, False]]])
    shares = model.shares(h, here).detach()
    scores = (h @ model.balance.weight.T).detach().numpy()[0]
    np.testing.assert_allclose(shares[0, 0], softmax(scores[0], axis=0))
    np.testing.assert_allclose(shares[0, 1, [0, 2]], softmax(scores[1][[0, 2]], axis=0))
    assert not shares[0, 1, 1].any()
    np.testing.assert_allclose(shares[0, 2], softmax(scores[2], axis=0))
    np.testing.assert_allclose(shares.sum(2), 1)


def test_weights_and_probabilities_of_modalities_are_the_gates_and_the_students() -> None:
    model = small()
    batch = random_conversations(WIDTHS, 4, (6,)).batch([0]).to("cpu", torch.float64)
    output = model(batch)
    here = torch.stack([batch.present[m] for m in WIDTHS], dim=-1)
    gates = model.shares(model.modal(batch.features, batch.present, batch), here).mean(-1) * here
    torch.testing.assert_close(output.modality_weights, gates)
    own = output.terms["students"].softmax(-1) * here[..., None]
    torch.testing.assert_close(output.modality_probabilities, own)


def test_the_temperature_has_to_be_positive() -> None:
    with pytest.raises(InputError, match="temperature: expected a number above 0, found 0"):
        SdtConfig(widths=WIDTHS, classes=4, temperature=0.0)
