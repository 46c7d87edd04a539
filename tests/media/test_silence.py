"""The one list of what is silence."""

from __future__ import annotations

import pytest

from broadmamba.media.transcripts.silence import is_silence

# as written by Kaldi, MFA, HTK, P2FA, WebMAUS, SPPAS, EasyAlign, Vosk, whisper.cpp, GAT and by hand
MARKS = """
<eps> sil SIL sp SP spn <sil> <SIL> [SIL] !SIL !sil !ENTER {SL} {sp} <p:> <p> # _ + [unk] <unk> <UNK> <s> </s> <silence>
[silence] [SILENCE] (pause) <pause> (.) (..) (0.8) (1,25) (-) <NOISE> [noise] {NS} <nib> <usb> [BLANK_AUDIO]
0.
"""
WORDS = """
Sil Sp sip silence pause Silence. unk noise s p eps blank [laughter] {LG} {BR} <laugh> [cough] xxx [inaudible] 1.2 0 [1]
<b> (well) ! !! ? sil. spa #1 C# <sil>yes (1999x)
"""


@pytest.mark.parametrize("mark", [*MARKS.split(), "", "  ", "[BLANK AUDIO]", "(1.2 s)", " <eps>\n", "<>"])
def test_silence(mark):
    assert is_silence(mark)


@pytest.mark.parametrize("text", WORDS.split())
def test_words(text):
    assert not is_silence(text)


def test_a_long_label_costs_nothing():
    assert not is_silence("(" + "9" * 10**6)
    assert not is_silence("<" * 10**6)
