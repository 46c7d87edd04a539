"""Tiers, turns and words: TextGrid, EAF, RTTM, STM, CTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from made_by.talk import TALK, Made, Said, nobody, one_word_names, plain, run, speakers, tool, words

LAST = 3605.0


@tool("praat", "praat --version")
def praat(folder: Path) -> Iterator[Made]:
    tiers = speakers()
    lines = [f'Create TextGrid: 0, {LAST}, "{" ".join(map(str, range(len(tiers))))}", ""']
    for number, (speaker, turns) in enumerate(tiers.items(), start=1):
        lines.append(f'Set tier name: {number}, "{speaker}"')
        for said in turns:
            text = said.text.replace('"', '""')
            lines += [
                f"Insert boundary: {number}, {said.start}",
                f"Insert boundary: {number}, {said.end}",
                f"interval = Get interval at time: {number}, {said.start} + 0.01",
                f'Set interval text: {number}, interval, "{text}"',
            ]
    for encoding in ("UTF-8", "UTF-16"):
        lines.append(f'Text writing preferences: "{encoding}"')
        for kind in ("", "short ", "chronological "):
            lines.append(f'Save as {kind}text file: "{folder.resolve()}/{encoding}-{kind.strip() or "long"}.TextGrid"')
    lines.append(f'Save as binary file: "{folder.resolve()}/binary.TextGrid"')
    (folder / "make.praat").write_text("\n".join(lines), encoding="utf-8")
    run("praat", "--run", folder / "make.praat")
    for path in sorted(folder.glob("*.TextGrid")):
        odd = path.stem.endswith(("chronological", "binary"))
        yield Made(f"TextGrid, {path.stem}", path, refused="TextGrid" if odd else "")


@tool("praat-parselmouth")
def parselmouth(folder: Path) -> Iterator[Made]:
    from parselmouth import TextGrid, praat

    tiers = list(speakers(one_word_names()))
    grid = TextGrid(0, LAST, tiers)
    for said in one_word_names():
        tier = tiers.index(said.speaker) + 1
        praat.call(grid, "Insert boundary", tier, said.start)
        praat.call(grid, "Insert boundary", tier, said.end)
        at = praat.call(grid, "Get interval at time", tier, said.start + 0.01)
        praat.call(grid, "Set interval text", tier, at, said.text)
    for name, command in (("long", "Save as text file"), ("short", "Save as short text file")):
        praat.call(grid, command, str(folder / f"{name}.TextGrid"))
        yield Made(f"TextGrid, {name}", folder / f"{name}.TextGrid", one_word_names())
    praat.call(grid, "Save as binary file", str(folder / "binary.TextGrid"))
    yield Made("TextGrid, binary", folder / "binary.TextGrid", refused="TextGrid")


@tool("praatio")
def praatio(folder: Path) -> Iterator[Made]:
    from praatio import textgrid as library

    grid = library.Textgrid(0, LAST)
    for speaker, turns in speakers().items():
        grid.addTier(library.IntervalTier(speaker, [(s.start, s.end, s.text) for s in turns], 0, LAST))
    for form in ("long_textgrid", "short_textgrid"):
        grid.save(str(folder / f"{form}.TextGrid"), form, includeBlankSpaces=True)
        yield Made(f"TextGrid, {form}", folder / f"{form}.TextGrid")
    for form in ("json", "textgrid_json"):
        grid.save(str(folder / f"{form}.json"), form, includeBlankSpaces=True)
        yield Made(form, folder / f"{form}.json", refused=".")


@tool("textgrid")
def textgrid(folder: Path) -> Iterator[Made]:
    import textgrid as library

    grid = library.TextGrid(minTime=0, maxTime=LAST)
    for speaker, turns in speakers().items():
        tier = library.IntervalTier(speaker, 0, LAST)
        for said in turns:
            tier.add(said.start, said.end, said.text)
        grid.append(tier)
    grid.write(str(folder / "talk.TextGrid"))
    yield Made("TextGrid", folder / "talk.TextGrid")


@tool("tgt")
def tgt(folder: Path) -> Iterator[Made]:
    import tgt as library

    def grid(talk: Sequence[Said]) -> library.TextGrid:
        made = library.TextGrid()
        for speaker, turns in speakers(talk).items():
            intervals = [library.Interval(s.start, s.end, s.text) for s in turns]
            made.add_tier(library.IntervalTier(0, LAST, speaker, intervals))
        return made

    for form in ("short", "long"):
        library.write_to_file(grid(TALK), str(folder / f"{form}.TextGrid"), format=form)
        yield Made(f"TextGrid, {form}", folder / f"{form}.TextGrid")
    # it writes `&` and `<` as they are, which is no XML
    library.write_to_file(grid(TALK), str(folder / "broken.eaf"), format="eaf")
    yield Made("EAF that is no XML", folder / "broken.eaf", refused="well-formed XML")
    library.write_to_file(grid(plain()), str(folder / "talk.eaf"), format="eaf")
    yield Made("EAF", folder / "talk.eaf", plain())


@tool("pympi-ling")
def pympi(folder: Path) -> Iterator[Made]:
    from pympi.Elan import Eaf, eaf_from_chat
    from pympi.Praat import TextGrid

    eaf = Eaf(author="")
    eaf.remove_tier("default")
    eaf.add_linguistic_type("words-lt", "Symbolic_Subdivision", False)
    eaf.add_linguistic_type("gloss-lt", "Symbolic_Association", False)
    for speaker in speakers():
        eaf.add_tier(speaker, part=speaker)
        eaf.add_tier(f"words@{speaker}", "words-lt", parent=speaker, part=speaker)
        eaf.add_tier(f"gloss@{speaker}", "gloss-lt", parent=speaker, part=speaker)
    for said in TALK:
        start, end = round(1000 * said.start), round(1000 * said.end)
        eaf.add_annotation(said.speaker, start, end, said.text)
        previous = None
        for word in said.text.split():
            eaf.add_ref_annotation(f"words@{said.speaker}", said.speaker, (start + end) // 2, word, previous)
            previous = f"a{eaf.maxaid}"
        eaf.add_ref_annotation(f"gloss@{said.speaker}", said.speaker, (start + end) // 2, "GLOSS")
    eaf.to_file(str(folder / "talk.eaf"))
    yield Made("EAF with dependent tiers", folder / "talk.eaf")
    for mode in ("normal", "short"):
        eaf.to_textgrid(filtin=list(speakers())).to_file(str(folder / f"{mode}.TextGrid"), mode=mode)
        yield Made(f"TextGrid, {mode}", folder / f"{mode}.TextGrid")
    TextGrid(str(folder / "normal.TextGrid")).to_eaf().to_file(str(folder / "back.eaf"))
    yield Made("EAF from a TextGrid", folder / "back.eaf")
    lines = ["@UTF8", "@Begin", "@Languages:\teng", "@Participants:\tANN Anna Adult, BEN Ben Adult",
             "@ID:\teng|x|ANN|||||Adult|||", "@ID:\teng|x|BEN|||||Adult|||", "@Media:\ttalk, audio"]  # fmt: skip
    spoken = [replace(TALK[0], text="well nearly done ."), replace(TALK[1], text="no .")]
    for said in spoken:
        times = f"{round(1000 * said.start)}_{round(1000 * said.end)}"
        lines += [f"*{said.speaker[:3].upper()}:\t{said.text} \x15{times}\x15", "%com:\ta comment"]
    (folder / "talk.cha").write_text("\n".join([*lines, "@End", ""]), encoding="utf-8")
    eaf_from_chat(str(folder / "talk.cha")).to_file(str(folder / "chat.eaf"))
    yield Made("EAF from CHAT", folder / "chat.eaf", spoken)


@tool("pyannote-core")
def pyannote(folder: Path) -> Iterator[Made]:
    from pyannote.core import Annotation, Segment

    talk = [replace(said, text="") for said in one_word_names()]
    annotation = Annotation(uri="talk")
    for n, said in enumerate(talk):
        annotation[Segment(said.start, said.end), n] = said.speaker
    with (folder / "talk.rttm").open("w", encoding="utf-8") as file:
        annotation.write_rttm(file)
    yield Made("RTTM", folder / "talk.rttm", talk)


@tool("meeteval")
def meeteval(folder: Path) -> Iterator[Made]:
    import meeteval as library

    rows = [
        {"session_id": "talk", "start_time": s.start, "end_time": s.end, "words": s.text, "speaker": s.speaker}
        for s in one_word_names()
    ]
    whole = library.io.SegLST(rows)
    whole.dump(folder / "talk.seglst.json")
    yield Made("SegLST", folder / "talk.seglst.json", one_word_names())
    library.io.STM.new(whole).dump(folder / "talk.stm")
    yield Made("STM", folder / "talk.stm", one_word_names())
    library.io.RTTM.new(whole).dump(folder / "talk.rttm")
    yield Made("RTTM", folder / "talk.rttm", [replace(said, text="") for said in one_word_names()])
    single = library.io.SegLST([
        {"session_id": "talk", "start_time": w.start, "end_time": w.end, "words": w.text, "speaker": "x", "channel": 1}
        for said in TALK for w in words(said)
    ])  # fmt: skip
    library.io.CTM.new(single).dump(folder / "alone.ctm")
    # two speakers with less than half a second between them are one utterance there
    first, second, *rest = nobody()
    joined = replace(first, text=f"{first.text} {second.text}", end=second.end)
    yield Made("CTM", folder / "alone.ctm", [joined, *rest])
    library.io.CTM.new(single).dump(folder / "talk.ctm")
    yield Made("CTM beside its RTTM", folder / "talk.ctm", one_word_names())
