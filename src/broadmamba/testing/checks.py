"""The properties that every model of conversations has, one function each."""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from broadmamba.data.batching import UNLABELLED, Batch, Prepared
from broadmamba.errors import InputError
from broadmamba.model.loss import LossConfig
from broadmamba.storage import map_arrays, save_arrays
from broadmamba.testing.require import require, require_close, require_same
from broadmamba.testing.subject import Subject, outputs

LENGTHS = (6, 1, 11, 4, 8)


def check_model(
    model: nn.Module,
    *,
    widths: Mapping[str, int] | None = None,
    classes: int | None = None,
    rebuild: Callable[[], nn.Module] | None = None,
) -> None:
    """Put a model through every property of `CHECKS`.

    The model is called as `model(batch)` and gives what `broadmamba.model.interface.Output` names; it has
    `loss(output, batch, config)` with a `total`. It is left as it was, as is the state of torch's random numbers.

    Args:
        model: the model, on the CPU in float32.
        widths: modality → width of its features, in the model's order; left out, `model.config.widths`.
        classes: C; left out, `model.config.classes`.
        rebuild: makes another model of the same settings; left out, `type(model)(model.config)`.

    Raises:
        AssertionError: a property does not hold; the message says which.
        InputError: the model has no config, and not all of the others are given.
    """
    config: Any = getattr(model, "config", None)
    if config is None and (widths is None or classes is None or rebuild is None):
        raise InputError("a model without a config is checked with widths, classes and rebuild given, one is missing")
    subject = Subject(
        model=copy.deepcopy(model).eval(),
        widths=dict(config.widths if widths is None else widths),
        classes=config.classes if classes is None else classes,
        rebuild=(lambda: type(model)(config)) if rebuild is None else rebuild,
    )
    for check in CHECKS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                check(subject)
            except AssertionError:
                raise
            except Exception as error:
                name = check.__name__.removeprefix("check_").replace("_", " ")
                raise AssertionError(f"{name}: the model raised {type(error).__name__}: {error}") from error


def check_shapes(subject: Subject) -> None:
    """Every output has its shape, and every number is finite."""
    batch = _whole(subject.conversations(LENGTHS))
    _require_shapes(subject, batch, outputs(subject.model, batch))


def check_probabilities(subject: Subject) -> None:
    """Probabilities are the softmax of the logits; a present modality's own sum to 1, an absent one's are 0."""
    batch = _whole(subject.conversations(LENGTHS))
    found = outputs(subject.model, batch)
    probabilities = found["probabilities"]
    require(bool((probabilities >= 0).all()), "no probability may be negative")
    require_close(probabilities.sum(-1), batch.mask.float(), "the probabilities of an utterance must sum to 1")
    softmax = found["logits"].softmax(-1) * batch.mask[..., None]
    require_close(probabilities, softmax, "probabilities must be the softmax of the logits")
    own = found["modality_probabilities"]
    require(bool((own >= 0).all()), "no probability of a modality may be negative")
    require_close(
        own.sum(-1),
        _present(subject, batch).float(),
        "a modality's own probabilities must sum to 1 where it is present and be 0 where it is absent",
    )


def check_modality_weights(subject: Subject) -> None:
    """Modality weights are shares of the modalities that an utterance has."""
    batch = _whole(subject.conversations(LENGTHS))
    weights, present = outputs(subject.model, batch)["modality_weights"], _present(subject, batch)
    require(bool((weights >= 0).all()), "no modality weight may be negative")
    require(bool((weights[~present] == 0).all()), "the weight of an absent modality must be 0")
    expected = present.any(-1).float()
    require_close(weights.sum(-1), expected, "modality weights must sum to 1 over the modalities that are present")


def check_padding_is_zero(subject: Subject) -> None:
    """Every output is zero on padding."""
    batch = _whole(subject.conversations(LENGTHS))
    for name, value in outputs(subject.model, batch).items():
        require(bool((value[~batch.mask] == 0).all()), f"{name} must be zero on padding")


def check_companions(subject: Subject) -> None:
    """What is said of a conversation depends neither on what it is batched with nor on padding."""
    prepared = subject.conversations((*LENGTHS, 150))
    together = prepared.batch(range(len(prepared.lengths)))
    for model in (subject.model, subject.precise()):
        found = outputs(model, together)
        for i, length in enumerate(prepared.lengths):
            alone = outputs(model, prepared.batch([i]))
            require_same(
                {name: value[i : i + 1, :length] for name, value in found.items()},
                alone,
                "a conversation's output must not depend on its batch companions and padding",
            )


def check_order(subject: Subject) -> None:
    """The order of conversations in a batch changes nothing else."""
    prepared = subject.conversations(LENGTHS)
    order = torch.arange(len(LENGTHS)).roll(2).flip(0)
    straight = outputs(subject.model, _whole(prepared))
    require_same(
        outputs(subject.model, prepared.batch(order.tolist())),
        {name: value[order] for name, value in straight.items()},
        "the order of conversations in a batch must not matter",
    )


def check_unread_values(subject: Subject) -> None:
    """What stands in the features where there is padding or no modality is never read."""
    batch = _whole(subject.conversations(LENGTHS))
    rubbish = {m: torch.where(batch.present[m][..., None], x, 7.0) for m, x in batch.features.items()}
    require_same(
        outputs(subject.model, replace(batch, features=rubbish)),
        outputs(subject.model, batch),
        "feature values on padding and of missing modalities must not be read",
    )


def check_modality_subsets(subject: Subject) -> None:
    """Any of the modalities may be absent from a batch, which is the same as if every utterance lacked it."""
    batch = _whole(subject.conversations(LENGTHS))
    for count in range(1, len(subject.widths)):
        for absent in itertools.combinations(subject.widths, count):
            found = outputs(subject.model, batch.without(*absent))
            _require_shapes(subject, batch, found)
            present = {m: p & (m not in absent) for m, p in batch.present.items()}
            features = {m: x * present[m][..., None] for m, x in batch.features.items()}
            require_same(
                found,
                outputs(subject.model, replace(batch, features=features, present=present)),
                f"a batch without {' and '.join(absent)} must be as one where no utterance has it",
            )


def check_nothing_present(subject: Subject) -> None:
    """Conversations of which nothing at all was seen or heard get finite outputs too."""
    batch = _whole(subject.conversations(LENGTHS))
    empty = replace(
        batch,
        features={m: torch.zeros_like(x) for m, x in batch.features.items()},
        present={m: torch.zeros_like(p) for m, p in batch.present.items()},
    )
    _require_shapes(subject, empty, outputs(subject.model, empty))


def check_determinism(subject: Subject) -> None:
    """In evaluation mode, a second call gives the same numbers, bit by bit, and the model does not change."""
    batch = _whole(subject.conversations(LENGTHS))
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    first, second = outputs(subject.model, batch), outputs(subject.model, batch)
    for name in first:
        same = torch.equal(first[name], second[name])
        require(same, f"two calls in evaluation mode must give the same {name}")
    for name, value in subject.model.state_dict().items():
        require(torch.equal(before[name], value), f"a call in evaluation mode must not change the model, found {name}")


def check_gradient_mode(subject: Subject) -> None:
    """Asking for gradients changes no output, so that what is trained is what is used."""
    batch = _whole(subject.conversations((*LENGTHS, 150)))
    for model in (subject.model, subject.precise()):
        inferred = outputs(model, batch)
        trained: Any = model(batch.to("cpu", inferred["logits"].dtype))
        require_same(
            {name: getattr(trained, name).detach() for name in inferred},
            inferred,
            "outputs must not depend on whether gradients are asked for",
        )


def check_gradients(subject: Subject) -> None:
    """In training, the loss gives every trainable parameter a finite gradient that is not zero."""
    model = copy.deepcopy(subject.model).train()
    batch = _whole(subject.conversations(LENGTHS))
    for _ in range(8):  # dropout, of whole modalities too, may hide a parameter from one step but not from all
        _loss(model, batch).backward()  # type: ignore[no-untyped-call]
        idle = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
        if not idle:
            break
    require(not idle, f"the gradient of the loss must reach every parameter, it did not reach {', '.join(idle)}")
    for name, parameter in model.named_parameters():
        finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        require(finite, f"gradients must be finite, that of {name} is not")


def check_state(subject: Subject) -> None:
    """A rebuilt model that reads the saved state gives the same outputs, even if it had been used before."""
    batch = _whole(subject.conversations(LENGTHS))
    torch.manual_seed(1)  # rebuilt with other weights
    rebuilt = subject.rebuild().eval()
    outputs(rebuilt, batch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        save_arrays(path, {name: value.numpy() for name, value in subject.model.state_dict().items()})
        state = {name: torch.from_numpy(array.copy()) for name, array in map_arrays(path).items()}
    rebuilt.load_state_dict(state)
    require_same(
        outputs(rebuilt, batch),
        outputs(subject.model, batch),
        "a rebuilt model with the saved state must give the same outputs",
    )


def check_lengths(subject: Subject) -> None:
    """A conversation of one utterance and a long one work."""
    for length in (1, 300):
        batch = _whole(subject.conversations((length,)))
        _require_shapes(subject, batch, outputs(subject.model, batch))


def check_unlabelled(subject: Subject) -> None:
    """Utterances without a label do not count in the loss."""
    prepared = subject.conversations(LENGTHS)
    batch = _whole(prepared)
    labels = batch.labels.clone()
    labels[-1] = UNLABELLED
    loss = _value(subject.model, replace(batch, labels=labels))
    fewer = _value(subject.model, prepared.batch(range(len(LENGTHS) - 1)))
    require_close(loss, fewer, "a conversation without any label must not change the loss")
    # Labels of some utterances, of the others, and of both: mean losses add up by how many there are.
    even = torch.arange(batch.labels.shape[1]) % 2 == 0
    parts = [torch.where(even, batch.labels, UNLABELLED), torch.where(even, UNLABELLED, batch.labels), batch.labels]
    counts = [int((part != UNLABELLED).sum()) for part in parts]
    sums = [_value(subject.model, replace(batch, labels=p)) * n for p, n in zip(parts, counts, strict=True)]
    require_close(sums[0] + sums[1], sums[2], "the loss must be a mean over the labelled utterances alone")
    nothing = _value(subject.model, replace(batch, labels=torch.full_like(labels, UNLABELLED)))
    require(bool(nothing.isfinite()), "the loss of a batch without any label must be finite")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_shapes,
    check_lengths,
    check_nothing_present,
    check_determinism,
    check_probabilities,
    check_modality_weights,
    check_padding_is_zero,
    check_order,
    check_companions,
    check_unread_values,
    check_modality_subsets,
    check_gradient_mode,
    check_gradients,
    check_state,
    check_unlabelled,
)
"""All of them, in the order in which `check_model` runs them: first what makes the message plainest."""


def _whole(prepared: Prepared) -> Batch:
    return prepared.batch(range(len(prepared.lengths)))


def _present(subject: Subject, batch: Batch) -> Tensor:
    """`(B, L, M)`, in the model's order of modalities."""
    return torch.stack([batch.present[m] for m in subject.widths], dim=-1)


def _loss(model: Any, batch: Batch) -> Tensor:
    total: Tensor = model.loss(model(batch), batch, LossConfig()).total
    return total


def _value(model: nn.Module, batch: Batch) -> Tensor:
    return _loss(model, batch).detach()


def _require_shapes(subject: Subject, batch: Batch, found: Mapping[str, Tensor]) -> None:
    C, M = subject.classes, len(subject.widths)
    ends = {"logits": (C,), "probabilities": (C,), "modality_weights": (M,), "modality_probabilities": (M, C)}
    for name, value in found.items():
        expected = (*batch.mask.shape, *ends.get(name, value.shape[2:]))
        require(tuple(value.shape) == expected, f"{name} must be {expected}, found {tuple(value.shape)}")
        require(bool(value.isfinite().all()), f"{name} must be finite, found NaN or infinity")
