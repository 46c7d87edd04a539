"""Fig. 8: one conversation, turn by turn, as every system reads it."""

from __future__ import annotations

from pathlib import Path

from broadmamba.errors import InputError
from broadmamba.experiments import pages, plots
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Workshop, study_runs
from broadmamba.storage import write_text


def make_conversation(study: Study, workshop: Workshop) -> list[Path]:
    """One conversation with every system's answers, and where they disagree."""
    facts = workshop.facts(study)  # told before anything is run for a figure that cannot be made
    corpus = next((name for name, known in facts.items() if study.conversation in known.excerpts), None)
    if corpus is None:
        raise InputError(f"none of {', '.join(facts)} has the conversation {study.conversation!r} in its test split")
    _, results = study_runs(study, workshop)
    known = facts[corpus]
    excerpt = known.excerpts[study.conversation]
    answers = {
        r.row.name: [known.labels[int(c, 36)] for c in r.records[0]["predictions"][excerpt["place"]]]
        for r in results[corpus]
        if r.records
    }
    truth = excerpt["labels"]
    header = ["turn", "speaker", "annotated", *answers, "agree"]
    rows = []
    for turn, (speaker, label) in enumerate(zip(excerpt["speakers"], truth, strict=True)):
        said = [labels[turn] for labels in answers.values()]
        most = max(said.count(one) for one in said) if said else 0
        rows.append([str(turn + 1), speaker, label, *said, f"{most} of {len(said)}"])
    path = workshop.out / study.name
    right = {name: sum(a == b for a, b in zip(labels, truth, strict=True)) for name, labels in answers.items()}
    table = pages.markdown_table(header, rows)
    score = "\n".join(f"- {name}: {count} of {len(truth)} right" for name, count in right.items())
    page = path.with_suffix(".md")
    write_text(page, f"# {study.title}\n\n{study.note}\n{table}\n{score}\n{pages.image(study)}")
    names = list(answers)
    turned = [["", *(f"{turn + 1} {speaker}" for turn, speaker in enumerate(excerpt["speakers"])), "right"]]
    body = [["annotated", *truth, ""], *([n, *answers[n], f"{right[n]}/{len(truth)}"] for n in names)]
    wrong = [[i > 0 and i <= len(truth) and cell != truth[i - 1] for i, cell in enumerate(line)] for line in body]
    with plots.figure(path, 2.2 + 1.1 * len(truth), 0.6 + 0.27 * len(body)) as (ax,):
        plots.grid(ax, turned[0], body, wrong)
    return [page, path.with_suffix(".png"), path.with_suffix(".svg")]
