"""The options that say which of a recording's sound is used."""

from __future__ import annotations

from typing import Annotated

import typer

from broadmamba.cli.completion import CHANNELS, among

AudioTrack = Annotated[
    str | None,
    typer.Option(
        help="Audio track of a recording that has several: its number from 1, or its language, such as eng.",
        show_default="the one that the file marks as default",
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(
        help="Channels of the sound that are used: mix, best (the one with the clearest sound), or a number from 1.",
        show_default="mix, or best where mixing would cancel them out",
        autocompletion=among(*CHANNELS),
    ),
]
