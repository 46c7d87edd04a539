"""The Hugging Face hub: files out of its cache and into it, and never code; needs the extra `hub`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from broadmamba.errors import InputError, MissingExtraError


def cached(what: str, id: str, files: Sequence[str], leave: Sequence[str] = (), revision: str | None = None) -> Path:
    """The folder in the cache where files of a repository lie; the network is not used.

    Args:
        what: they are, such as `model`.
        id: of the repository, `owner/name`.
        files: their names, or patterns of these; the first one is in every repository of this kind.
        leave: patterns of files that are left all the same.
        revision: a branch, a tag or a commit; None is the main branch as it was downloaded.

    Raises:
        InputError: there is none.
        MissingExtraError: the extra `hub` is not installed.
    """
    return _snapshot(what, id, files, leave, revision, offline=True)


def download(what: str, id: str, files: Sequence[str], leave: Sequence[str] = (), revision: str | None = None) -> Path:
    """Download those files of a repository that are not in the cache.

    Args:
        what: as for `cached`.
        id: as for `cached`.
        files: as for `cached`.
        leave: as for `cached`.
        revision: as for `cached`; None is the main branch as it is now.

    Returns:
        The folder in the cache where they lie; it is called as the commit.

    Raises:
        InputError: the hub cannot be reached, has no such repository, or the cache cannot be written.
        MissingExtraError: the extra `hub` is not installed.
    """
    _check_hub(what, id, files[0], revision)
    return _snapshot(what, id, files, leave, revision, offline=False)


def _snapshot(
    what: str, id: str, files: Sequence[str], leave: Sequence[str], revision: str | None, *, offline: bool
) -> Path:
    _check_client(what, id)
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        found = snapshot_download(
            id,
            revision=revision,
            allow_patterns=list(files),
            ignore_patterns=list(leave),
            local_files_only=offline,
        )
    except Exception as error:  # of the hub's client or of whichever HTTP library it uses
        if isinstance(error, RepositoryNotFoundError):
            reason = "there is none of that name, or you may not read it"
        elif isinstance(error, RevisionNotFoundError):
            reason = f"it has no revision {revision}"
        else:
            reason = _reason(error)
        raise InputError(f"the {what} {id!r} cannot be downloaded from the hub ({reason})") from None
    finally:
        if shown:
            enable_progress_bars()
    return Path(found)


def _check_client(what: str, id: str) -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"the {what} {id!r} is no folder here, and one of the Hugging Face hub needs huggingface_hub: "
            "pip install 'broadmamba[hub]'"
        ) from None


def _check_hub(what: str, id: str, file: str, revision: str | None) -> None:
    """One request, since its client tries again for minutes where there is no network."""
    _check_client(what, id)
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import get_session

    try:
        get_session().head(hf_hub_url(id, file, revision=revision), timeout=10)
    except Exception as error:  # of whichever HTTP library the installed version uses
        raise InputError(
            f"the {what} {id!r} is no folder here, not in the Hugging Face cache, "
            f"and the hub cannot be reached ({_reason(error)})"
        ) from None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
