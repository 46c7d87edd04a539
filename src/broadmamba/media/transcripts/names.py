"""Who speaks: names that programs write for nobody known, and names before a colon, as in `Name: text`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

_NOBODY = frozenset(
    [
        "", "?", "-1", "na", "n/a", "nan", "none", "nobody", "null", "undefined", "unidentified", "unk", "unknown",
        "uu", "unassigned",
    ]
)  # fmt: skip
_SPEAKER_WORDS = frozenset(["speaker", "spk", "spkr"])
_MARKS_ONLY = re.compile(r"[\W_]+")
_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"  # of the direction of writing
_MARK = re.compile(f"[{_MARKS}]")

_CACHED = 4096  # names, which come again and again
_LONGEST_NAME = 40
_MOST_WORDS = 4
_LONGEST_ODD_NAME = 80
_MOST_ODD_WORDS = 8
_PREFIX = re.compile(rf"([^:：]{{1,{_LONGEST_ODD_NAME}}})(?::[{_MARKS}]*(?=\s|$)|：)")
_NUMBERED = re.compile(r"\(speaker ([^\s()]{1,20})\)\s*", re.IGNORECASE)  # whisper.cpp, in texts and subtitles
_IN_BRACKETS = re.compile(r"\[([^\[\]]*[^\W\d][^\[\]]*)\]")  # `[SPEAKER_00]: …`, as whisperX writes it
_BOLD = re.compile(r"^(\*\*|__)([^*_:].{0,79}?)(?::\1|\1:)\s*")  # as Markdown has it
_MANNER = re.compile(r"\([^()]*[^\W\d][^()]*\)\s*$")
_FORBIDDEN = re.compile(r"[,;!?…\"“”<>{}=\\|@]")
_FORBIDDEN_IN_ODD = re.compile(r"[!?;…](?:\s|$)|\.{2}|[<>{}=]|-->|//")
_MARK_OF_SENTENCE = re.compile(r"[?!…,:;\"“”]|\.$")
_TITLE = re.compile(r"(?:\w{1,4}|\w(?:\.\w)+)\.")
_PARTICLES = frozenset(
    ["al", "and", "bin", "d'", "da", "de", "del", "der", "di", "in", "la", "le", "of", "the", "to", "van", "von"]
)
# what opens a note, a point of a list or a question, and is a person only in a dialogue of such words
_HEADINGS = frozenset(
    [
        "abstract", "advice", "agenda", "answer", "attention", "background", "caution", "chapter", "conclusion",
        "correction", "date", "definition", "disclaimer", "discussion", "edit", "eighth", "example", "fact",
        "fifth", "finally", "first", "firstly", "fourth", "goal", "hint", "idea", "important", "introduction",
        "item", "last", "lastly", "lesson", "location", "method", "moral", "next", "ninth", "note", "notes",
        "number", "option", "part", "place", "point", "postscript", "pro", "problem", "ps", "question",
        "reason", "remark", "remember", "reminder", "result", "results", "rule", "second", "secondly",
        "section", "seventh", "sixth", "solution", "source", "spoiler", "step", "subject", "summary", "task",
        "tenth", "then", "theory", "third", "thirdly", "time", "tip", "title", "todo", "topic", "translation",
        "update", "warning", "achtung", "antwort", "beispiel", "erstens", "drittens", "frage", "fazit", "grund",
        "hinweis", "problem", "punkt", "schritt", "thema", "tipp", "warnung", "zweitens", "attention",
        "conclusion", "exemple", "question", "remarque", "réponse", "consejo", "ejemplo", "nota", "paso",
        "listen", "look", "see", "imagine", "wait", "bonus", "verdict", "news", "breaking news", "weather", "sports",
        "headline", "ingredients", "directions", "instructions", "preparation", "serves", "total", "price", "address",
        "cut to", "fade in", "fade out", "fade to black", "scene", "zutaten", "zubereitung", "hör zu", "schau",
        "ingrédients", "préparation", "écoute", "écoutez", "étape", "ingredientes", "preparación", "ingredienti",
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "montag", "dienstag", "mittwoch",
        "donnerstag", "freitag", "samstag", "sonntag", "breakfast", "lunch", "dinner", "frühstück", "mittagessen",
        "abendessen", "pros", "cons", "pps", "ergebnis", "résultat", "résultats", "conseil", "resultado", "en fin",
        "resumen", "risultato", "domanda", "risposta", "результат", "итог", "结果", "問題", "问题", "答案", "注意",
        "例如", "总之", "質問", "回答", "結果", "例",
        "pregunta", "respuesta", "вопрос", "ответ", "внимание", "пример", "примечание",
    ]
)  # fmt: skip
# words of sentences, which no name of several words has
_SENTENCE_WORDS = frozenset(
    [
        "one", "two", "three", "thing", "things", "my", "your", "our", "his", "her", "their", "and", "so", "well",
        "now",
        "then", "also", "another", "more", "dear", "no", "yes", "okay", "ok", "please", "i", "he", "she", "we",
        "they", "you", "him", "them", "us", "is", "are", "was", "were", "be", "been",
        "being", "have", "has", "had", "having", "does", "did", "not", "said", "says", "saying", "say", "asked",
        "asks", "told", "tells", "thought", "thinks", "replied", "answered", "wrote", "writes", "yelled",
        "shouted", "whispered", "means", "meant", "know", "knew", "this", "that", "these", "those", "there",
        "here", "what", "when", "where", "why", "how", "which", "if", "because", "but", "ich", "er", "sie",
        "wir", "ist", "sind", "waren", "habe", "haben", "sagte", "sagt", "fragte", "dass", "nicht", "je",
        "nous", "vous", "ils", "elles", "est", "sont", "était", "dit", "disait", "demande", "nosotros", "dijo",
        "dice", "preguntó", "digo", "cosa",
        "dis", "chose", "он", "она", "я", "мы", "они", "вы", "сказал", "сказала", "говорит", "спросил",
        "спросила", "это", "что",
    ]
)  # fmt: skip
_I_SAY = re.compile(r"[他她我你它].*[说說问問].*")  # `I say one thing`
_HE_SAID = re.compile(r"[他她我你它].*|.*[说說问問]")  # `he said`, in Chinese
_OPENING_QUOTES = tuple('"“”„«‹「『')

_OFTEN = 2  # times that a prefix comes, to be a name that lines have again and again
_HALF = 0.5  # share of lines with a prefix in a dialogue
_QUARTER = 0.25  # the same, where a prefix comes more often and is written as names are
_NEARLY_ALL = 0.8


@lru_cache(maxsize=_CACHED)
def known_name(name: str | None) -> str | None:
    """A speaker's name, or None where a program says that it knows nobody.

    These are `?`, `unknown`, `Unknown Speaker`, `(speaker ?)`, `spk_?`, `SPEAKER_UNKNOWN`, `UU`, `None`, `N/A`, `-1`,
    what is empty or has neither a letter nor a digit nor a picture, and the like; case does not matter.
    """
    if name is None:
        return None
    name = _MARK.sub("", name).strip()
    plain = name.casefold().strip("<>()[]{} ")
    words = [word for word in re.split(r"[\s_.:-]+", plain) if word]
    label = " ".join(word for word in words if word not in _SPEAKER_WORDS)
    if plain in _NOBODY or (label in _NOBODY and label != "") or not words:
        return None
    if _MARKS_ONLY.fullmatch(label) and not _has_picture(label):
        return None
    return name or None


def split_speaker(line: str) -> tuple[str | None, str]:
    """Take a speaker's name off the start of a line that stands alone.

    A prefix is a speaker only if it is plausible: a colon with white space (or nothing) after it, and before
    it at most 40 characters and four words, one of which begins with a letter. One word may be lower-case; of
    several, each begins with a capital or a digit (or is a particle such as `von`), so that `I have one
    question: why?` has no speaker. Sentence punctuation rules a name out, except a full stop after a title or
    an initial (`Dr. Lee`). `10: 30` and `https://…` are no speakers. A single word such as `Remember: milk`
    cannot be told from a name and is read as one. How it is said, as in `Anna (whispers)`, is left out.

    Returns:
        The name or None, and the rest of the line without white space around it.
    """
    prefix = _prefix(line)
    return (prefix.name, prefix.rest) if prefix.plausible else (None, line.strip())


def could_be_name(name: str) -> bool:
    """Whether a speaker's name could be written like this, where something else says that it is one."""
    prefix = _prefix(f"{name}:")
    return bool(prefix.name) or known_name(name) is None


def are_names_alone(lines: Sequence[str]) -> bool:
    """Whether lines that stand beside what is said are the names of who says it.

    Each is a few words with capitals and no mark of a sentence, and not all are in capitals throughout, as in captions.
    """
    return len(lines) >= _OFTEN and all(map(_is_name_alone, lines)) and not all(map(str.isupper, lines))


def _is_name_alone(line: str) -> bool:
    words = line.split()
    return (
        0 < len(words) <= _MOST_WORDS
        and words[0][0].isupper()
        and all(word[0].isupper() or word[0].isdigit() for word in words)
        and not _MARK_OF_SENTENCE.search(line)
    )


class Said(NamedTuple):
    """A line without the name that it begins with; the speaker is None where that is a name for nobody known."""

    speaker: str | None
    text: str


class _Prefix(NamedTuple):
    """What stands before a line's first colon, as a name; empty where it can be none."""

    name: str
    rest: str
    plausible: bool


class Names:
    """The names before colons in one conversation, found by all its lines together.

    A plausible prefix (`split_speaker`) is a name, unless it is a heading (`Note: …`) or a point of a list. An odd
    one (`Doe, Jane`, `jane doe`, `John's iPhone`, `+1 555-0100`, `Max | ACME`, `j.smith@example.org`) is a name if

    - it comes again, and at least half of the lines have a prefix (a quarter, if it comes three times and has
      capitals as names have), or
    - at least four in five lines have one, so that somebody who speaks once is named as well.

    A heading must come again as well, beside another name and in such a dialogue (`Question: …`, `Answer: …`). What
    is plainly a sentence, as `he said: …`, never is a name.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        """Read lines that may begin with a name: the first of each cue, or each of a text."""
        read = [(_prefix(line), line.strip()) for line in lines if line.strip()]
        self._read = {line: prefix for prefix, line in read}
        prefixes = [prefix for prefix, _ in read]
        counts = Counter(prefix.name for prefix in prefixes if prefix.name)
        self.share = counts.total() / len(read) if read else 0.0
        """Share of the lines that have a prefix."""
        numbered = any(times >= _OFTEN for name, times in counts.items() if name.isdigit())
        sentences = _begin_with_capitals(read)
        different = {prefix.name: prefix for prefix in prefixes if prefix.name}.values()
        names = {
            prefix.name
            for prefix in different
            if _is_name(prefix, counts, self.share, numbered)
            and not (sentences and counts[prefix.name] == 1 and self.share < _HALF and _goes_on(prefix))
        }
        self._names = names - _listed(read, counts, self.share)
        self._others = counts.keys() - self._names

    def split(self, line: str) -> Said | None:
        """Name and words of one of the conversation's lines, None where it begins with no name."""
        line = line.strip()
        numbered = _NUMBERED.match(line)
        if numbered:
            return Said(known_name(numbered.group(1)), line[numbered.end() :])
        prefix = self._read.get(line) or _prefix(line)
        unseen = prefix.plausible and prefix.name not in self._others and not _is_heading(prefix.name)
        if prefix.name in self._names or unseen:
            return Said(known_name(prefix.name), prefix.rest)
        return None


def _prefix(line: str) -> _Prefix:
    line = _BOLD.sub(r"\2: ", line.strip())
    found = _PREFIX.match(line)
    if not found:
        return _Prefix("", line, False)
    written = _written(found.group(1))
    rest = line[found.end() :].lstrip()
    if written.sentence or (_HE_SAID.fullmatch(written.name) and rest.startswith(_OPENING_QUOTES)):
        return _Prefix("", rest, False)
    if written.plausible or _could_be_odd(written.name, rest):
        return _Prefix(written.name, rest, written.plausible)
    return _Prefix("", rest, False)


class _Written(NamedTuple):
    """What is written before a colon: the name in it, whether it is plausible, or plainly the start of a sentence."""

    name: str
    plausible: bool
    sentence: bool


@lru_cache(maxsize=_CACHED)
def _written(before: str) -> _Written:
    name = _MANNER.sub("", _MARK.sub("", before)).strip()
    bracketed = _IN_BRACKETS.fullmatch(name)
    name = bracketed[1].strip() if bracketed else name
    return _Written(name, len(before) <= _LONGEST_NAME and _plausible(name), _is_sentence(name))


def _plausible(name: str) -> bool:
    words = name.split()
    if len(words) > _MOST_WORDS or _FORBIDDEN.search(name):
        return False
    if not any(word[0].isalpha() and "." not in word for word in words):
        return False
    if any("." in word and not _TITLE.fullmatch(word) for word in words):
        return False
    return len(words) == 1 or all(not _in_lower_case(word) or word in _PARTICLES for word in words)


def _could_be_odd(name: str, rest: str) -> bool:
    """Whether a prefix could be a name that only the whole conversation can confirm."""
    if not name or len(name.split()) > _MOST_ODD_WORDS or _FORBIDDEN_IN_ODD.search(name):
        return False
    if any(character.isalpha() for character in name) or _has_picture(name):
        return True
    # a telephone number, or the number of a speaker; but `10: 30` is a time
    return sum(character.isdigit() for character in name) >= 5 or (name.isdigit() and not rest[:1].isdigit())


def _is_sentence(name: str) -> bool:
    words = [word.strip("\"'“”‘’«»,.") for word in name.split()]
    lower = [word for word in words if word[:1].islower() and word not in _PARTICLES]  # Ann and Ben are two
    if len(words) > 1 and lower and not _SENTENCE_WORDS.isdisjoint([words[0].casefold(), *lower]):
        return True
    return _I_SAY.fullmatch(name) is not None


def _is_name(prefix: _Prefix, counts: Counter[str], share: float, numbered: bool) -> bool:
    """Whether a prefix is a name, by the rule of `Names`; `numbered` where speakers have numbers for names."""
    times = counts[prefix.name]
    if _is_heading(prefix.name):
        return times >= _OFTEN and share >= _HALF and len(counts) > 1
    if prefix.plausible:
        return True
    if times >= _OFTEN and (share >= _HALF or (times > _OFTEN and share >= _QUARTER and _as_names_are(prefix.name))):
        return True
    if counts.total() < _OFTEN:
        return False
    if prefix.name.isdigit():
        return share == 1.0 and numbered
    return share == 1.0 or (share >= _NEARLY_ALL and (_as_names_are(prefix.name) or prefix.name.islower()))


def _begin_with_capitals(read: list[tuple[_Prefix, str]]) -> bool:
    """Whether nearly all lines without a name begin with a capital, as sentences do."""
    first = [line[:1] for prefix, line in read if not prefix.name]
    return len(first) >= _OFTEN and sum(map(str.isupper, first)) >= _NEARLY_ALL * len(first)


def _goes_on(prefix: _Prefix) -> bool:
    """Whether one sentence goes on behind the colon, as in `Listen: it was late`."""
    return prefix.rest[:1].islower() and not prefix.name.isupper()


def _listed(read: list[tuple[_Prefix, str]], counts: Counter[str], share: float) -> set[str]:
    """Points of a list: single words that come once each, below a sentence without a name."""
    listed: set[str] = set()
    if share >= _NEARLY_ALL or any(times >= _OFTEN for times in counts.values()):
        return listed
    run: list[str] = []
    below_sentence = False
    for prefix, line in [*read, (_Prefix("", "", False), "")]:
        if prefix.plausible and " " not in prefix.name and not prefix.name.isupper():
            run.append(prefix.name)
            continue
        if len(run) >= _OFTEN and below_sentence:
            listed.update(run)
        run = []
        below_sentence = not prefix.name and line.endswith((".", ":", "：", "。"))
    return listed


def _is_heading(name: str) -> bool:
    words = name.casefold().rstrip(".").split()
    if " ".join(words) in _HEADINGS:
        return True
    return (
        bool(words)
        and words[0].rstrip(".") in _HEADINGS
        and all(w.strip("#.)").isdigit() or len(w) == 1 for w in words[1:])
    )


def _as_names_are(name: str) -> bool:
    """Whether each word has a capital or a digit, is a particle or knows no case, or there is only one."""
    words = name.split()
    return len(words) == 1 or all(not word.islower() or word in _PARTICLES for word in words)


def _has_picture(name: str) -> bool:
    return any(unicodedata.category(character) == "So" for character in name)


def _in_lower_case(word: str) -> bool:
    return word.lstrip("(['’-")[:1].islower()
