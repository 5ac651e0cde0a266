"""Packages that only some commands need, and what is said where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from aadc.manifests.errors import UserError


@contextmanager
def needed(what: str, extra: str) -> Iterator[None]:
    """Around the imports that `what` (an option, as it is typed) needs, and that come with the extra of that name.

    Raises:
        UserError: one is not installed; says how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise UserError(f"{what} needs {missing}, which is not installed: pip install 'aadc-net[{extra}]'") from None
