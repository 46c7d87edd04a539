"""Tables and JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from made_by.talk import TALK, Made, nobody, records, run, tool, whisper_result


@tool("python csv", f"{sys.executable} --version")
def csv_module(folder: Path) -> Iterator[Made]:
    dialects: dict[str, dict[str, Any]] = {
        "excel": {"dialect": "excel"},
        "excel-tab": {"dialect": "excel-tab"},
        "unix": {"dialect": "unix"},
        "semicolons": {"delimiter": ";"},
        "all in quotation marks": {"quoting": csv.QUOTE_ALL},
        "no numbers in quotation marks": {"quoting": csv.QUOTE_NONNUMERIC},
        "strings in quotation marks, tabs": {"quoting": csv.QUOTE_NONNUMERIC, "delimiter": "\t"},
        "backslashes": {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
        "backslash before a quotation mark": {"doublequote": False, "escapechar": "\\"},
        "tabs, nothing quoted": {"quoting": csv.QUOTE_NONE, "delimiter": "\t", "quotechar": None},
    }  # fmt: skip
    for n, (name, options) in enumerate(dialects.items()):
        path = folder / f"{n}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, **options)
            writer.writerow(["speaker", "start", "end", "text"])
            writer.writerows([s.speaker, s.start, s.end, s.text] for s in TALK)
        yield Made(f"csv, {name}", path, refused="must be quoted" if name == "backslashes" else "")


@tool("pandas")
def pandas(folder: Path) -> Iterator[Made]:
    import pandas as library

    table = library.DataFrame(records())
    for name, options in {
        "csv": {}, "csv, semicolons and decimal commas": {"sep": ";", "decimal": ","}, "tsv": {"sep": "\t"},
        "csv without index, UTF-8 with a mark": {"index": False, "encoding": "utf-8-sig"},
        "tsv, UTF-16": {"sep": "\t", "encoding": "utf-16", "index": False},
    }.items():  # fmt: skip
        path = folder / f"{len(list(folder.iterdir()))}.csv"
        table.to_csv(path, **options)
        yield Made(name, path)
    table.to_json(folder / "talk.jsonl", orient="records", lines=True)
    yield Made("jsonl", folder / "talk.jsonl")


@tool("polars")
def polars(folder: Path) -> Iterator[Made]:
    import polars as library

    table = library.DataFrame(records())
    for name, options in {"csv": {}, "tsv": {"separator": "\t"}, "csv, semicolons": {"separator": ";"},
                          "csv, all in quotation marks": {"quote_style": "always"}}.items():  # fmt: skip
        path = folder / f"{len(list(folder.iterdir()))}.csv"
        table.write_csv(path, **options)
        yield Made(name, path)
    table.write_ndjson(folder / "talk.jsonl")
    yield Made("jsonl", folder / "talk.jsonl")


def _source(folder: Path) -> Path:
    """A plain CSV for programs that turn it into something else."""
    path = folder / "source.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("speaker", "start", "end", "text"))
        writer.writeheader()
        writer.writerows(records())
    return path


@tool("R", "Rscript --version")
def r(folder: Path) -> Iterator[Made]:
    source = _source(folder)
    calls = {
        "csv, write.csv": 'write.csv(t, "1.csv")',
        "csv, write.csv2": 'write.csv2(t, "2.csv", row.names=FALSE)',
        "table, write.table with tabs": 'write.table(t, "3.tsv", sep="\\t", row.names=FALSE)',
        "table, nothing quoted": 'write.table(t, "4.tsv", sep="\\t", row.names=FALSE, quote=FALSE)',
        "table, write.table, commas, doubled": 'write.table(t, "5.csv", sep=",", row.names=FALSE, qmethod="double")',
        "table, write.table, tabs and row names": 'write.table(t, "6.tsv", sep="\\t", col.names=NA)',
    }
    script = f'Sys.setlocale("LC_ALL", "C.UTF-8"); t <- read.csv("{source.name}", encoding="UTF-8", quote="\\"")\n'
    run("Rscript", "-e", f'setwd("{folder.resolve()}")\n{script}' + "\n".join(calls.values()))
    for n, name in enumerate(calls, start=1):
        yield Made(name, next(folder.glob(f"{n}.*")))


@tool("sqlite3", "sqlite3 --version")
def sqlite(folder: Path) -> Iterator[Made]:
    source = _source(folder)
    for mode, suffix in (("csv", "csv"), ("tabs", "tsv")):
        path = folder / f"talk.{suffix}"
        sql = f".mode csv\n.import {source} talk\n.headers on\n.mode {mode}\n.output {path}\nSELECT * FROM talk;\n"
        run("sqlite3", given=sql)
        yield Made(suffix, path)


@tool("miller", "mlr --version")
def miller(folder: Path) -> Iterator[Made]:
    source = _source(folder)
    for option, suffix in (("--ocsv", "csv"), ("--otsv", "tsv"), ("--ojsonl", "jsonl")):
        path = folder / f"talk{option}.{suffix}"
        path.write_bytes(run("mlr", "--icsv", option, "cat", source))
        yield Made(f"{suffix}, {option}", path)


@tool("jq", "jq --version")
def jq(folder: Path) -> Iterator[Made]:
    lines = "\n".join(json.dumps(record) for record in records())
    segments = json.dumps(whisper_result())
    row = '["text","start","end","speaker"], (.[]|[.text,.start,.end,.speaker])'
    for name, source, options in (
        ("talk.jsonl", lines, ("-c", ".")),
        ("ascii.jsonl", lines, ("-ca", ".")),
        ("talk.json", segments, ("--tab", ".")),
        ("talk.tsv", lines, ("-rs", f"{row} | @tsv")),
        ("talk.csv", lines, ("-rs", f"{row} | @csv")),
    ):
        (folder / name).write_bytes(run("jq", *options, given=source))
        yield Made(f"{Path(name).suffix[1:]}, jq {options[0]}", folder / name, nobody() if source == segments else TALK)
