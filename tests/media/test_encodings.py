"""Text that is no UTF-8: read right or refused, held against Python's own encoders."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript, read_turns

FOREIGN = {
    "Russian": (
        ["cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"],
        ["Вчера мы долго гуляли.", "Зачем ты это сделал?", "НЕ КРИЧИ НА МЕНЯ!", "Ну", "Я устала и хочу домой."],
    ),
    "Ukrainian": (["cp1251", "koi8_u"], ["Чому ти мовчиш?", "Її тут немає."]),
    "Greek": (["cp1253", "iso8859_7"], ["Πού ήσουν χθες;", "Δεν θέλω να φύγω.", "Ναι"]),
    "Arabic": (["cp1256", "iso8859_6"], ["لماذا تأخرت اليوم", "نعم"]),
    "Hebrew": (["cp1255", "iso8859_8"], ["למה איחרת היום", "כן"]),
    "Thai": (["cp874"], ["วันนี้ฝนตก", "ใช่"]),
    "Turkish": (["cp1254", "iso8859_9", "cp857"], ["Niçin ağlıyorsun?", "Işıkları kapat.", "Şimdi değil."]),
    "Polish": (["cp1250", "iso8859_2", "cp852"], ["Dlaczego płaczesz?", "Wyłącz światło.", "Idę już."]),
    "Czech": (["cp1250", "iso8859_2", "cp852"], ["Proč brečíš?", "Zhasni světlo.", "Řekni něco.", "Dům"]),
    "Hungarian": (["cp1250", "iso8859_2"], ["Hűvös idő volt.", "Miért sírsz, te nő?", "Bőr"]),
    "Romanian": (["cp1250", "iso8859_2"], ["Stinge lumina, că plec.", "Îmi pare rău, dragă."]),
    "Lithuanian": (["cp1257"], ["Kodėl tu verkei?", "Eime į mišką.", "Aš ją mačiau."]),
    "Latvian": (["cp1257"], ["Kāpēc tu raudi?", "Māja"]),
    "Chinese": (["gb2312", "gb18030", "big5"], ["今天下雨，", "你在哪里？"]),
    "Japanese": (["shift_jis", "euc_jp", "iso2022_jp"], ["昨日は楽しかった。", "どうして？"]),
    "Korean": (["euc_kr", "cp949"], ["왜 울고 있어요?", "아니요"]),
    "French": (["mac_roman", "cp850"], ["C'est l'été, où étais-tu ?", "Là-bas, à côté.", "Très drôle."]),
    "German": (["mac_roman", "cp850"], ["Über die Brücke.", "Äußerst süß!"]),
    "Spanish": (["mac_roman", "cp850"], ["Mañana será otro día.", "¿Por qué?", "La canción"]),
}
WESTERN = [
    "It was naïve, I know.",
    "“Don’t,” she said…",
    "The café is closed — you knew.",
    "Wait—what?",
    "The pi\u00f1ata broke and they ran.",
    "Über die Brücke, bitte.",
    "„Nein“, rief sie.",
    "ÄUSSERST SÜSS!",
    "Ça va très bien, merci.",
    "ÇA SUFFIT, ÉCOUTEZ-MOI !",
    "« Là-bas », dit-elle, « à côté de l’hôtel ».",
    "J'ai rêvé d'un été où même les forêts brûlaient.",
    "¿Qué pasa, señor?",
    "¡Adiós, mamá!",
    "EL NIÑO ESTÁ AQUÍ.",
    "Não sei o que você quer.",
    "Perché non vieni più?",
    "Jeg ved ikke hvad det er på dansk.",
    "Det är så dåligt.",
    "Minä en tiedä, mitä tämä on.",
    "Aitäh, kõik on hästi, aga kus sina oled?",
    "Zoë",
]
KINDS = {
    "talk.srt": lambda lines: "".join(
        f"{n}\n00:00:{n:02d},000 --> 00:00:{n:02d},900\n<i>{line}</i>\n\n" for n, line in enumerate(lines, start=1)
    ),
    "talk.jsonl": lambda lines: "".join(
        json.dumps({"start": n, "text": line}, ensure_ascii=False) + "\n" for n, line in enumerate(lines)
    ),
    "talk.csv": lambda lines: "start;text\n" + "".join(f'{n};"{line}"\n' for n, line in enumerate(lines)),
}


@pytest.fixture
def read(tmp_path: Path):
    def read(content: bytes, name: str = "talk.srt", encoding: str | None = None) -> list[str]:
        (tmp_path / name).write_bytes(content)
        return [u.text for u in read_transcript(tmp_path / name, encoding=encoding)]

    return read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", FOREIGN)
def test_an_old_file_is_read_right_or_refused_and_read_right_when_its_encoding_is_said(read, language, kind):
    encodings, lines = FOREIGN[language]
    for encoding in encodings:
        for said in [lines, *([line] for line in lines)]:
            content = KINDS[kind](said).encode(encoding)
            if encoding != "iso2022_jp":
                assert read(content, kind, encoding) == said
            try:
                assert read(content, kind) == said
            except InputError as error:
                assert "--encoding" in str(error) and "\n" not in str(error)


def test_enough_russian_is_known_and_the_user_is_told(read, caplog):
    _, lines = FOREIGN["Russian"]
    for encoding in ("cp1251", "koi8_r", "cp866"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="broadmamba"):
            assert read(KINDS["talk.srt"](lines).encode(encoding)) == lines
        assert [encoding in record.getMessage() for record in caplog.records] == [True]


def test_a_refusal_names_what_it_may_be(read):
    with pytest.raises(InputError, match=r"talk\.srt: expected UTF-8 text, found other bytes at position 35 \(perhaps"):
        read(KINDS["talk.srt"](["Зачем ты?"]).encode("cp1251"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", WESTERN)
def test_what_is_plainly_western_is_read_without_asking(read, kind, line, caplog):
    with caplog.at_level(logging.WARNING, logger="broadmamba"):
        assert read(KINDS[kind]([line]).encode("cp1252"), kind) == [line]
    assert ["cp1252" in record.getMessage() for record in caplog.records] == [True]


def test_all_of_them_in_one_file(read):
    assert read(KINDS["talk.srt"](WESTERN).encode("cp1252")) == WESTERN


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
@pytest.mark.parametrize("language", ["Russian", "Chinese", "Arabic", "German"])
def test_wide_characters_with_and_without_a_mark(read, encoding, language):
    _, lines = FOREIGN[language]
    content = KINDS["talk.srt"](lines).encode(encoding)
    assert read(content) == lines
    assert read(content, encoding=encoding) == lines


# UTF-8 with damage

SPOKEN = ["Schöner Tag, Jürgen!", "Straße nass …", "Größe 3 €", "日本語 😀"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.sampled_from([b"\xc3", b"\xe4", b"\xff", b"\xe2\x82", b"\xed\xa0\xbd", b"\x80"]))
def test_one_bad_byte_costs_one_character(tmp_path, place, bad):
    content = KINDS["talk.srt"](SPOKEN)
    lines = content.split("\n")
    spoken = [number for number, line in enumerate(lines) if line.startswith("<i>")]
    line = spoken[place % len(spoken)]
    at = 3 + place // 7 % (len(lines[line]) - 6)
    before = "\n".join([*lines[:line], lines[line][:at]])
    after = "\n".join([lines[line][at:], *lines[line + 1 :]])
    (tmp_path / "talk.srt").write_bytes(before.encode() + bad + after.encode())
    read = [u.text for u in read_transcript(tmp_path / "talk.srt")]
    wanted = list(SPOKEN)
    number = spoken.index(line)
    wanted[number] = f"{wanted[number][: at - 3]}\ufffd{wanted[number][at - 3 :]}"
    assert read == wanted


def test_damage_is_counted_and_its_line_named(read, caplog):
    content = KINDS["talk.srt"](SPOKEN).encode().replace("Jü".encode(), b"J\xc3").replace(b"nass", b"n\xe4ss")
    with caplog.at_level(logging.WARNING, logger="broadmamba"):
        assert read(content)[:2] == ["Schöner Tag, J\ufffdrgen!", "Straße n\ufffdss …"]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "2 characters are damaged and stand as U+FFFD, the first in line 3"
    ]


def test_a_file_that_is_cut_within_a_character(read):
    assert read("Anna: Schöne Grüße".encode()[:-2], "talk.txt") == ["Schöne Grü\ufffd"]
    with pytest.raises(InputError, match="expected UTF-8 text"):
        read("Anna: the last byte is ü".encode()[:-1], "talk.txt")


def test_halves_of_characters_as_old_databases_write_them(read):
    joined = "😀".encode("utf-16-be", "surrogatepass")
    halves = b"".join(chr(int.from_bytes(joined[i : i + 2])).encode("utf-8", "surrogatepass") for i in (0, 2))
    assert read("Anna: Schön ".encode() + halves, "talk.txt") == ["Schön 😀"]
    assert read("Anna: Schön ".encode() + halves[:3], "talk.txt") == ["Schön \ufffd"]


def test_a_nul_is_no_text(read):
    for content in (b"Anna: Hi\x00 there\n", "Anna: Sch\xf6n\x00".encode(), b"Anna: Sch\xf6n \x00 so\n"):
        with pytest.raises(InputError, match="binary content"):
            read(content, "talk.txt")


def test_a_mark_where_files_were_joined(read):
    one = "\ufeff1\r\n00:00:01,000 --> 00:00:02,000\r\nHi\r\n\r\n"
    assert read((one + one.replace("1\r", "2\r", 1)).encode()) == ["Hi", "Hi"]


# what is said


def test_an_encoding_that_does_not_fit_is_refused(read):
    content = KINDS["talk.srt"](FOREIGN["Polish"][1]).encode()
    for encoding, said in (
        ("cp1250", r"talk\.srt: expected text in cp1250, found UTF-8"),
        ("ascii", r"talk\.srt: expected text in ascii, found"),
        ("cp1259", "unknown encoding 'cp1259'"),
        ("rot13", "unknown encoding 'rot13'"),
        ("base64", "unknown encoding 'base64'"),
        ("a\x00b", "unknown encoding"),
        ("utf-16", "expected text in utf-16, found UTF-8"),
    ):
        with pytest.raises(InputError, match=said):
            read(content, encoding=encoding)
    with pytest.raises(InputError, match="expected text in utf-8, found other bytes at position"):
        read(KINDS["talk.srt"](FOREIGN["Polish"][1]).encode("cp1250"), encoding="utf-8")


def test_speakers_are_read_in_the_encoding_that_is_said(tmp_path):
    (tmp_path / "talk.rttm").write_bytes("SPEAKER talk 1 0.5 2 <NA> <NA> Łucja <NA> <NA>\n".encode("cp1250"))
    (tmp_path / "talk.srt").write_bytes("1\n00:00:01,000 --> 00:00:02,000\nIdę\n".encode("cp1250"))
    assert read_turns(tmp_path / "talk.rttm", encoding="cp1250")[0].speaker == "Łucja"
    conversation = read_transcript(tmp_path / "talk.srt", tmp_path / "talk.rttm", encoding="cp1250")
    assert [(u.speaker, u.text) for u in conversation] == [("Łucja", "Idę")]


@pytest.mark.parametrize(
    ("line", "encoding"),
    [
        ('Then she said "Miłość i pięść, cześć" to me.', "cp1250"),
        ("We heard Dvořák and then they left.", "cp1250"),
        ("It cost 5 € and not more.", "iso8859_15"),
    ],
)
def test_a_foreign_word_in_english(read, line, encoding):
    content = KINDS["talk.srt"]([line, "What did you do?"]).encode(encoding)
    with pytest.raises(InputError, match="--encoding"):
        read(content)
    assert read(content, encoding=encoding) == [line, "What did you do?"]
