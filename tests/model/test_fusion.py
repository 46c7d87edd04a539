"""Every fusion against the plain sum or product over the modalities that one utterance has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from broadmamba.model.fusion import FUSIONS, Evidence, Fusion

T, D, C = 12, 5, 4
THREE = ("text", "audio", "video")


def make_fusion(name: str, modalities: tuple[str, ...] = THREE) -> Any:
    torch.manual_seed(0)
    fusion = FUSIONS[name](modalities, D, C).double()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion


def make_evidence(modalities: tuple[str, ...] = THREE) -> dict[str, Evidence]:
    """Utterance t has modality i unless bit i of t is set: every combination occurs, none at all too."""
    generator = torch.Generator().manual_seed(1)

    def draw(width: int) -> Tensor:
        return torch.randn(T, width, dtype=torch.float64, generator=generator)

    return {
        m: Evidence(draw(C).sigmoid(), draw(D), draw(C), ((torch.arange(T)[:, None] >> i) % 2 == 0).double())
        for i, m in enumerate(modalities)
    }


Term = Callable[[Any, str, Evidence, int], Tensor]

TERMS: dict[str, Term] = {
    "class": lambda fusion, m, e, t: e.omega[t] * e.readout[t],
    "gate": lambda fusion, m, e, t: (fusion.gates[m].weight @ e.omega[t]) * e.representation[t],
    "scalar": lambda fusion, m, e, t: max(e.omega[t].tolist()) * e.representation[t],
    "add": lambda fusion, m, e, t: e.representation[t],
    "concatenation": lambda fusion, m, e, t: fusion.maps[m].weight @ e.representation[t],
}
"""One modality's term of the sum for one utterance."""


def terms_of(name: str, fusion: Any, evidence: dict[str, Evidence]) -> Iterator[dict[str, Tensor]]:
    for t in range(T):
        yield {m: TERMS[name](fusion, m, e, t) for m, e in evidence.items() if e.present[t] == 1}


@pytest.mark.parametrize("modalities", [THREE, ("text", "video"), ("audio",)])
@pytest.mark.parametrize("name", TERMS)
def test_sums_are_over_what_each_utterance_has(name: str, modalities: tuple[str, ...]) -> None:
    fusion, evidence = make_fusion(name, modalities), make_evidence(modalities)
    h, strengths = fusion(evidence)
    for t, terms in enumerate(terms_of(name, fusion, evidence)):
        expected = sum(terms.values(), start=torch.zeros(fusion.width, dtype=torch.float64))
        torch.testing.assert_close(h[t], expected, rtol=1e-12, atol=1e-12)
        for m in modalities:
            size = terms[m].abs().mean().item() if m in terms else 0.0
            assert strengths[m][t].item() == pytest.approx(size, abs=1e-12)


def test_concatenation_is_one_map_of_all_representations_side_by_side() -> None:
    fusion, evidence = make_fusion("concatenation"), make_evidence()
    W = torch.cat([fusion.maps[m].weight for m in THREE], dim=1)
    Y = torch.cat([e.present * e.representation for e in evidence.values()], dim=1)
    torch.testing.assert_close(fusion(evidence)[0], Y @ W.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("modalities", [THREE, ("text", "video"), ("audio",)])
def test_attention_shares_one_among_what_each_utterance_has(modalities: tuple[str, ...]) -> None:
    fusion, evidence = make_fusion("attention", modalities), make_evidence(modalities)
    h, strengths = fusion(evidence)
    for t in range(T):
        there = {m: e.representation[t] for m, e in evidence.items() if e.present[t] == 1}
        scores = {
            m: math.exp((fusion.query @ fusion.keys[m].weight @ y).item() / D**0.5) if len(modalities) > 1 else 1.0
            for m, y in there.items()
        }
        terms = {m: scores[m] / sum(scores.values()) * (fusion.values[m].weight @ y) for m, y in there.items()}
        expected = sum(terms.values(), start=torch.zeros(D, dtype=torch.float64))
        torch.testing.assert_close(h[t], expected, rtol=1e-12, atol=1e-12)
        for m in modalities:
            size = terms[m].abs().mean().item() if m in terms else 0.0
            assert strengths[m][t].item() == pytest.approx(size, abs=1e-12)


@pytest.mark.parametrize("modalities", [THREE, ("audio",)])
def test_every_parameter_of_attention_gets_a_finite_gradient_even_if_an_utterance_has_nothing(
    modalities: tuple[str, ...],
) -> None:
    fusion = make_fusion("attention", modalities)
    fusion(make_evidence(modalities))[0].square().sum().backward()
    for parameter in fusion.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


def with_one(e: Evidence, t: int, y: Tensor) -> Tensor:
    """[Y | 1] of one utterance, [0 | 1] where the modality is missing."""
    return torch.cat([y if e.present[t] == 1 else torch.zeros_like(y), torch.ones(1, dtype=torch.float64)])


def test_low_rank_fusion_is_the_full_tensor_it_factorises() -> None:
    fusion, evidence = make_fusion("lmf"), make_evidence()
    h, strengths = fusion(evidence)
    factors = [fusion.factors[m].weight.view(fusion.RANK, D, D + 1) for m in THREE]
    full = torch.einsum("r,rdi,rdj,rdk->dijk", fusion.rank_weights.squeeze(-1), *factors)
    for t in range(T):
        z = {m: with_one(e, t, e.representation[t]) for m, e in evidence.items()}
        expected = torch.einsum("dijk,i,j,k->d", full, *z.values()) + fusion.bias
        torch.testing.assert_close(h[t], expected, rtol=1e-10, atol=1e-10)
        for m, factor in zip(THREE, factors, strict=True):
            size = (factor @ z[m]).abs().mean().item() if evidence[m].present[t] == 1 else 0.0
            assert strengths[m][t].item() == pytest.approx(size, abs=1e-12)


@pytest.mark.parametrize("modalities", [THREE, ("text", "video"), ("audio",)])
def test_tensor_fusion_is_a_map_of_the_outer_product(modalities: tuple[str, ...]) -> None:
    fusion, evidence = make_fusion("tfn", modalities), make_evidence(modalities)
    h, strengths = fusion(evidence)
    letters = "ijk"[: len(modalities)]
    for t in range(T):
        projected = {m: fusion.projections[m](e.representation[t]) for m, e in evidence.items()}
        factors = [with_one(e, t, projected[m]) for m, e in evidence.items()]
        outer = torch.einsum(f"{','.join(letters)}->{letters}", *factors)
        torch.testing.assert_close(h[t], fusion.map(outer.flatten()), rtol=1e-10, atol=1e-10)
        for m, e in evidence.items():
            size = projected[m].abs().mean().item() if e.present[t] == 1 else 0.0
            assert strengths[m][t].item() == pytest.approx(size, abs=1e-12)


def test_a_missing_modality_is_a_neutral_factor_of_a_fresh_low_rank_fusion() -> None:
    torch.manual_seed(0)
    fusion = FUSIONS["lmf"](("text", "audio"), D, C).double()
    evidence = make_evidence(("text", "audio"))
    h, _ = fusion(evidence)
    t = 2  # has text and no audio
    assert [e.present[t].item() for e in evidence.values()] == [1, 0]
    weight = fusion.get_submodule("factors.text").get_parameter("weight")
    text = (weight @ with_one(evidence["text"], t, evidence["text"].representation[t])).view(4, D)
    torch.testing.assert_close(h[t], text.mean(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_missing_modality_is_not_read(name: str) -> None:
    fusion, evidence = make_fusion(name), make_evidence()
    other = {
        m: Evidence(*(torch.where(e.present == 1, x, 9.0) for x in (e.omega, e.representation, e.readout)), e.present)
        for m, e in evidence.items()
    }
    for found, expected in zip(fusion(other)[1].values(), fusion(evidence)[1].values(), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(fusion(other)[0], fusion(evidence)[0])


@pytest.mark.parametrize("name", FUSIONS)
def test_the_classifier_reads_the_width_that_the_fusion_gives(name: str) -> None:
    fusion: Fusion = make_fusion(name)
    h, _ = fusion(make_evidence())
    assert h.shape == (T, fusion.width)
    assert fusion.classifier(C).double()(h).shape == (T, C)


def test_class_fusion_starts_by_taking_its_evidence_at_its_word() -> None:
    fusion = make_fusion("class")
    h, _ = fusion(make_evidence())
    assert torch.equal(fusion.classifier(C).double()(h).argmax(-1), h.argmax(-1))
