"""Whether old text is plainly Western: Windows-1252 in a language of Western Europe, and not bytes that look alike.

A Polish, Turkish or Russian file can be read as Windows-1252 too, and every word comes out wrong. So each letter beyond
ASCII must be in words of one Western language, and each sign where such a sign stands.
"""

from __future__ import annotations

import re

ENCODING = "cp1252"

# the same bytes in the encodings of Central Europe and Turkey too, so that they are right in any case
_SHARED = frozenset("äöüßéóáíúå")
_ANY = "áàâäãåæçéèêëíìîïñóòôöõøœúùûüßÿ"
# letters beyond ASCII, and words that are frequent here and are no words of Central Europe, the Balkans or Turkey
_LANGUAGES = {
    "English": (
        _ANY,
        "the and you that of not what this have with they she but yes your know just there right well how would could "
        "don't it's i'm that's naïve café cafés cliché fiancé fiancée résumé façade crème brûlée déjà voilà zoë chloë "
        "noël señor señora piñata jalapeño",
    ),
    "German": (
        "äöüßéèàáêçñëïôû",
        "der die das und ich nicht ein eine wir sie auf dass auch noch aber haben schon mir dich bitte danke gut nein",
    ),
    "French": (
        "àâæçéèêëîïôœùûüÿ",
        "les et est pas vous nous une dans pour que qui avec mais moi c'est j'ai ça très bien merci oui être même où à "
        "là voilà après père mère frère cœur sœur allô bientôt tôt hôtel côté drôle français façon garçon leçon reçu "
        "tête bête fête prêt prête arrête arrêtez goût sûr sûre coûte août plaît s'il près dès problème première noël",
    ),
    "Spanish": (
        "áéíñóúüç",
        "que los para está qué más muy gracias cómo usted eso esto yo también porque señor señora señorita niño niña "
        "niños años mañana aquí día así españa español pequeño sueño daño cariño cumpleaños otoño baño ¿ ¡",
    ),
    "Portuguese": (
        "áâãàçéêíóôõúü",
        "que não uma você para com muito obrigado obrigada isso está também então são bem aqui eu ele ela é mãe",
    ),
    "Italian": (
        "àèéìîòóù",
        "che non è per una più perché sono questo così bene grazie cosa anche della sì il può c'è cos'è dov'è com'è "
        "cioè caffè papà città verità già giù lì però perciò sarà lunedì",
    ),
    "Catalan": ("àçèéíïòóúü", "que els amb és això molt una gràcies què aquí"),
    "Dutch": ("áàâäçéèêëíïóôöúûü", "het een niet van dat ik maar wat zijn voor met heb jij geen ook belgië"),
    "Danish": (
        "æøåéóòôèüäö",
        "og jeg det ikke på hvad hva til også være deg dig mig har vi du skal så når først gør nødt køn brød år",
    ),
    "Swedish": ("åäöéèàüæø", "och det jag inte är att på har vad som för också du vi"),
    "Finnish": ("äöåšž", "että minä mitä hän niin olen sinä ole kiitos tämä"),
    "Estonian": (
        "äöõüšž",
        "kui aga mitte olen oled kus kuidas miks mina sina meie teie väga hästi aitäh tere nüüd siin",
    ),
    "Icelandic": ("áðéíóúýþæö", "og það ekki ég við að þú hvað sem"),
}
_VOCABULARY = {name: (frozenset(letters), frozenset(words.split())) for name, (letters, words) in _LANGUAGES.items()}

_WORD = re.compile(r"[^\W\d_]+(?:['’´][^\W\d_]+)*")
_ODD_SIGN = re.compile(r"[^\x00-\x7f\w]|[ªº²³¹½¼¾]")
_BESIDE_LETTERS = frozenset("“”„‚«»‹›‘’…–—¡¿´·®™\xa0\xad")
_OPENING = frozenset("„‚¡¿")
_WITHIN_WORDS = frozenset("’‘´·\xa0\xad")
_PAIRS = {"¿": "?", "¡": "!", "‚": "‘’", "„": "“”"}
_AFTER = {"ª": ("sr", "sra", "dr", "dra", "m", "n"), "º": ("n",), "²": ("m", "cm", "km"), "³": ("m", "cm", "km")}
_WORDS_OF_ONE = frozenset("àáéèêíìóòôöøåæäüªº")
# what words in English texts do not have, and Polish and Czech have in the same bytes: `Czeœæ` is `Cześć`
_NOT_IN_ENGLISH = re.compile(r"[êñæœ][^\x00-\x7f]|[^\x00-\x7f][êñæœ]|ø[áéíóúý]|[ñæœ]$")
_CAPITAL_WITHIN = re.compile(r"[a-zß-ÿ][À-ÖØ-Þ]")
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)
_NEAR = 40  # characters that hold the word beside a sign
_MOST_STRANGE = 0.02  # of the signs and words that are not ASCII; none in a short text
_LEAST_KNOWN = 0.04  # of all words; in ordinary talk it is a fifth


def is_western(text: str) -> bool:
    """Whether a text that was read as Windows-1252 is one.

    Args:
        text: lines of what was said, without markup.
    """
    # what is beside the letters in question tells the language; a line by whoever offers the file may be English
    said = "\n".join(line for line in text.split("\n") if not line.isascii())
    written = _WORD.findall(said)
    signs = list(_ODD_SIGN.finditer(said))
    odd = [word for word in written if not word.isascii()]
    strange = sum(map(_is_foreign, odd)) + sum(not _stands_well(said, sign) for sign in signs)
    if strange > _MOST_STRANGE * (len(odd) + len(signs)):
        return False
    if any(text.count(first) > sum(map(text.count, last)) for first, last in _PAIRS.items()):
        return False
    words = [word.lower().replace("’", "'") for word in written] + [sign for sign in "¿¡" if sign in said]
    letters = {letter for word in words for letter in word if not letter.isascii() and letter.isalpha()} - set("ªº")
    # a lone á is how į, a word of Lithuanian, would look
    english = not any(_NOT_IN_ENGLISH.search(word) for word in words)
    return (letters <= _SHARED and "á" not in words) or any(
        _fits(language, letters, words) for name, language in _VOCABULARY.items() if english or name != "English"
    )


def _fits(language: tuple[frozenset[str], frozenset[str]], letters: set[str], words: list[str]) -> bool:
    alphabet, frequent = language
    known = sum(1 for word in words if word in frequent)
    return letters <= alphabet and known >= max(1, _LEAST_KNOWN * len(words))


def _is_foreign(word: str) -> bool:
    """Whether a word has nothing but odd letters, as in Greek and Russian, or a capital after a small letter."""
    if len(word) == 1:
        return word.lower() not in _WORDS_OF_ONE
    alone = not any(letter.isascii() for letter in word) and len(set(word.lower())) > 1
    return alone or _CAPITAL_WITHIN.search(word) is not None


def _stands_well(text: str, sign: re.Match[str]) -> bool:
    """Whether a sign stands where signs stand, and not for a letter."""
    left, right = text[max(0, sign.start() - _NEAR) : sign.start()], text[sign.end() : sign.end() + _NEAR]
    before, after = left[-1:], right[:1]
    if sign[0] in _AFTER and before.isalpha():
        return not after.isalpha() and _WORD.findall(left)[-1].lower() in _AFTER[sign[0]]
    if sign[0] == "¤":
        return False  # which nobody writes; it is the euro of ISO 8859-15
    if not (before.isalpha() or after.isalpha()) or (sign[0] == "°" and not before.isalpha() and after in "CF"):
        return True
    if sign[0] not in _BESIDE_LETTERS or (before.isalpha() and sign[0] in _OPENING):
        return False
    if before.isalpha() and after.isalpha():
        if sign[0] == "–":
            return before.islower() and after.isupper()
        if sign[0] in "—…":  # each side must be a word
            return all(map(_VOWEL.search, (_WORD.findall(left)[-1], _WORD.findall(right)[0])))
        return sign[0] in _WITHIN_WORDS
    return True
