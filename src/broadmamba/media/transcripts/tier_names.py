"""What the name of a tier says: whose it is, and what it holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

UTTERANCES, WORDS, SOUNDS, NOTES, UNSURE, LABELS, REFERENCES, STRUCTURE = (
    "utterances", "words", "sounds", "notes", "unsure", "labels", "references", "structure",
)  # fmt: skip

# in English, German, French and Spanish, and as Praat's, BAS's, FLEx's, Toolbox's and ELAN's templates have them
_NAMES = {
    UTTERANCES: (
        "utterance", "utterances", "utt", "utts", "sentence", "sentences", "segment", "segments", "phrase", "phrases",
        "speech", "spch", "text", "texts", "txt", "transcript", "transcripts", "transcription", "transcriptions", "trn",
        "ortho", "orth", "orthography", "orthographic", "orthographic-transcription", "toe", "turn", "turns",
        "ipu", "ipus", "chunk", "chunks", "verbatim", "original-text",
        "äußerung", "äußerungen", "aeusserung", "aeusserungen", "satz", "sätze", "saetze", "transkript",
        "transkription", "orthographie", "énoncé", "énoncés", "enonce", "enonces", "texte", "orthographe",
        "enunciado", "enunciados", "frase", "frases", "transcripción", "transcripcion", "texto", "transcrição",
        "enunciato", "enunciati", "frasi", "trascrizione", "testo", "uiting", "uitingen", "zin", "zinnen", "tekst",
        "высказывание", "высказывания", "предложение", "предложения", "реплика", "реплики", "текст", "фраза", "фразы",
        "句子", "文本", "文", "発話", "문장",
    ),
    WORDS: (
        "word", "words", "wrd", "wrds", "token", "tokens", "tokensalign", "ort", "ort-mau",
        "wort", "wörter", "woerter", "worte", "mots", "palabra", "palabras", "palavra", "palavras", "parola", "parole",
        "woord", "woorden", "слово", "слова", "词", "词语", "単語", "단어",
    ),
    SOUNDS: (
        "phone", "phones", "phoneme", "phonemes", "phonetic", "phonetics", "phonetic-transcription", "phono", "ipa",
        "phonemic", "phonalign", "phntokalign", "syllable", "syllables", "syll", "syllalign", "mau", "mas",
        "kan", "kan-mau", "morph", "morphs", "morpheme", "morphemes", "lemma", "lemmas",
        "laut", "laute", "phonem", "silbe", "silben", "phonème", "phonèmes", "syllabe", "syllabes", "phonetik",
        "morphem", "morphème", "morphèmes", "fonema", "fonemas", "sílaba", "sílabas", "silabas",
        "fonemi", "sillaba", "sillabe", "foneem", "fonemen", "фонема", "фонемы", "звуки", "слог", "слоги",
        "音素", "音节", "音節", "음소",
    ),
    NOTES: (
        "emotion", "emotions", "probability", "note", "notes", "comment", "comments", "remark", "remarks", "misc",
        "gesture", "gestures", "gesture-phase", "gesture-phases", "gesture-meaning", "gesture-unit", "hand", "hands",
        "head", "gaze", "face", "posture", "gloss", "glosses", "glossing", "word-gloss", "translation", "translations",
        "free-translation", "literal-translation", "tone", "tones", "break", "breaks", "break-index", "tobi", "stress",
        "accent", "accents", "pitch", "intonation", "prosody", "pos", "part-of-speech", "parts-of-speech",
        "anmerkung", "anmerkungen", "kommentar", "kommentare", "notiz", "notizen", "geste", "gesten", "blick",
        "glosse", "glossen", "übersetzung", "uebersetzung", "betonung", "wortart",
        "commentaire", "commentaires", "remarque", "remarques", "gestes", "regard", "glose", "gloses", "traduction",
        "nota", "notas", "comentario", "comentarios", "gesto", "gestos", "mirada", "glosa",
        "glosas", "traducción", "traduccion", "tradução", "traduzione", "commento", "commenti", "vertaling",
        "перевод", "комментарий", "комментарии", "примечание", "翻译", "翻訳", "注释", "备注", "번역",
    ),
    LABELS: ("label", "labels"),
    REFERENCES: (
        "ref", "refs", "reference", "references", "id", "ids", "identifier", "identifiers", "rec", "record", "records",
        "segnum", "segment-number", "segmentation", "utterance-id", "sentence-id", "number", "numbers", "num",
        "no", "nr", "nummer", "numéro", "numero", "index",
    ),
    STRUCTURE: ("interlinear", "interlinear-text", "interlinear-title", "paragraph", "paragraphs"),
}  # fmt: skip
# they could be initials, so only in lower case
_CODES = {
    UTTERANCES: ("tx", "ut"),
    WORDS: ("wd", "wo", "mot"),
    SOUNDS: ("mb", "mo", "mp"),
    NOTES: ("ft", "fg", "fte", "ge", "gl", "gls", "gn", "lit", "msa", "nt", "ps", "cf", "hn"),
    REFERENCES: ("rf",),
}
# beside or in another name they are part of it: `speaker_1` is a speaker
_KIND_ALONE = {
    **dict.fromkeys(["", "default"], UTTERANCES),
    **dict.fromkeys(  # a person, if sentences stand in it
        ["speaker", "speakers", "spk", "sprecher", "locuteur", "locuteurs", "hablante", "lang", "phone", "tone"],
        UNSURE,
    ),
    **dict.fromkeys(
        [
            "diarization", "language", "languages", "topic", "topics", "section", "sections", "quality", "addressee",
            "silences", "vad", "events", "noise", "noises", "music", "background", "code", "codes", "code_num",
            "coding", "context", "on_off",
        ],
        NOTES,
    ),
}  # fmt: skip
_KIND_OF = {name: kind for kind, names in _NAMES.items() for name in names}
_KIND_OF_CODE = {name: kind for kind, names in _CODES.items() for name in names}
_SEPARATOR = re.compile(r"\s*[-_:/|@–—]\s*|\.(?=\S)")
_SPACE = re.compile(r"(?<=\w)\s+")
_BRACKETS = re.compile(r"(.*?)\s*(?:\(([^()]+)\)|\[([^\[\]]+)\]|\{([^{}]+)\}|<([^<>]+)>)")
_FLEX = re.compile(
    r"(?:(.*)[_@\s])?(phrase|transcription|word|morph|translation|paragraph|interlinear-text)-([a-z]+)(?:-[\w-]+)?",
    re.IGNORECASE,
)
_FLEX_TEXTS = {"phrase": UTTERANCES, "transcription": UTTERANCES, "word": WORDS, "morph": SOUNDS}
_LANGUAGE = re.compile(r"[a-z]{2}")
_LONGEST = 100  # characters of a name that is looked into
_IDENTIFIER = re.compile(r"[(\[#]?(?=\w)[\w.:/#-]*[0-9][a-z]?[)\].]?")
_PLAIN_IDENTIFIER = re.compile(r"0[0-9]+|[\w.:/-]*\w(?:_[0-9]+|[-.:/][0-9]{2,})[a-z]?")
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")
_MOSTLY = 0.9


class Named(NamedTuple):
    """What a name says.

    Attributes:
        speaker: whose tier it is; None where the name names nobody.
        kind: what it holds, such as `UTTERANCES`; None where the name does not tell.
        exact: whether it is the kind's name alone, without the name of a language or a version.
    """

    speaker: str | None
    kind: str | None
    exact: bool = True


def read_name(name: str) -> Named:
    """Take a tier's name apart.

    `Anna` is a speaker; `words` a kind; `Anna - words`, `words_Anna`, `tx@Anna`, `Anna/words`, `words (Anna)` and
    `Anna [words]` both. FLEx's names, such as `A_phrase-txt-en`, are known.
    """
    name = name.strip()
    if len(name) > _LONGEST:
        return Named(name, None)
    marker = name.removeprefix("\\")  # as Toolbox writes its fields
    if kind := _KIND_ALONE.get(marker.lower()) or _kind_of(marker):
        return Named(None, kind)
    return _flex(name) or _in_brackets(name) or _at(marker) or _beside(name) or Named(name, None)


def kind_of_type(name: str) -> str | None:
    """What tiers of a linguistic type hold, such as `phonetic transcription`; None where its name does not tell."""
    if len(name) > _LONGEST:
        return None
    if kind := _kind_of(name):
        return kind
    if "part-of-speech" in _normal(name):
        return NOTES
    found = {_KIND_OF.get(part.lower()) for part in re.split(r"[\W_]+", name)}
    return next((kind for kind in (NOTES, SOUNDS, WORDS, REFERENCES, STRUCTURE, UTTERANCES) if kind in found), None)


def are_references(texts: Sequence[str], *, words: bool = False) -> bool:
    """Whether labels are numbers of utterances, such as `STORY_001`, and nothing that somebody said.

    Args:
        texts: labels of a tier that are not empty.
        words: they should be words, among which a number may be said.
    """
    pattern = _PLAIN_IDENTIFIER if words or len(texts) == 1 else _IDENTIFIER
    identifiers = sum(len(text) <= _LONGEST and pattern.fullmatch(text) is not None for text in texts)
    numbered = len(texts) > 1 and not words and _are_numbered(texts)
    return bool(texts) and (identifiers >= _MOSTLY * len(texts) or numbered)


def _are_numbered(texts: Sequence[str]) -> bool:
    """Whether all are one text with ascending numbers behind it, such as `Frog story 1`."""
    found = [_NUMBERED.fullmatch(text) if len(text) <= _LONGEST else None for text in texts]
    parts = [match.groups() for match in found if match is not None]
    numbers = [int(number) for _, number in parts]
    return (
        len(parts) == len(texts)
        and len({prefix for prefix, _ in parts}) == 1
        and all(first < second for first, second in pairwise(numbers))
    )


def _kind_of(name: str) -> str | None:
    return _KIND_OF_CODE.get(name) or _KIND_OF.get(_normal(name))


def _normal(name: str) -> str:
    """As the table has it, without what says only that it is a tier: `Word tier` is `word`."""
    return re.sub(
        r"-(?:tier|level|layer)$", "", re.sub(r"[\s_-]+", "-", unicodedata.normalize("NFC", name).strip()).lower()
    )


def _flex(name: str) -> Named | None:
    match = _FLEX.fullmatch(name)
    if match is None:
        return None
    speaker, level, item = match.groups()
    if "fonipa" in name.lower():
        kind = SOUNDS
    elif item.lower() == "txt":
        kind = _FLEX_TEXTS.get(level.lower(), NOTES)
    elif item.lower() in ("segnum", "gls", "lit", "note", "pos", "msa", "cf", "hn", "type", "item", "punct", "title"):
        kind = REFERENCES if item.lower() == "segnum" else NOTES
    else:
        return None
    return Named(speaker or None, kind)


def _in_brackets(name: str) -> Named | None:
    match = _BRACKETS.fullmatch(name)
    if match is None or not match[1]:
        return None
    before, inside = match[1], match[match.lastindex or 0].strip()
    if kind := _kind_of(inside):
        return Named(before, kind)
    return Named(inside, kind) if (kind := _kind_of(before)) else None


def _at(name: str) -> Named | None:
    """Toolbox's and ELAN's `kind@speaker`, where a language may follow the kind."""
    kind, at, speaker = name.partition("@")
    found = _kind_of(kind) if at and speaker.strip() else None
    if found:
        return Named(speaker.strip(), found)
    starts = [kind[: match.start()] for match in _SEPARATOR.finditer(kind)] if at and speaker.strip() else []
    found = next(filter(None, map(_kind_of, reversed(starts))), None)
    return Named(speaker.strip(), found, exact=False) if found else None


def _beside(name: str) -> Named | None:
    """The kind after the speaker or before, the longest that there is."""
    places = [match.span() for match in _SEPARATOR.finditer(name)]
    for first, last in places:
        if first and (kind := _kind_of(name[last:])):
            speaker = read_name(name[:first])  # or another kind, as in `ortho_transcription`
            return Named(speaker.speaker if speaker.kind in (UTTERANCES, WORDS, SOUNDS, NOTES) else name[:first], kind)
    for first, last in reversed(places):
        kind = _kind_of(name[:first]) if first and last < len(name) else None
        # `note-taker` and `Head-Coach` are people
        compound = name[first:last] == "-" and name[:1].islower() == name[last : last + 1].islower()
        if kind and not (compound and kind in (NOTES, SOUNDS)):
            language = _LANGUAGE.fullmatch(name[last:])
            return Named(None, kind, exact=False) if language else Named(name[last:], kind)
    for match in _SPACE.finditer(name):
        kind = _KIND_OF.get(name[match.end() :])
        if kind in (WORDS, SOUNDS, NOTES) or name[match.end() :] in ("utterance", "utterances"):
            return Named(re.sub("['’]s$", "", name[: match.start()]), kind)
    return None
