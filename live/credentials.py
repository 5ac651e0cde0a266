"""Passwords of cameras: taken from the environment, and never shown, whatever a library says about an address."""

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

HIDDEN = "***"
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Up to the last @ of the word: passwords with / and @ in them are written unescaped by many.
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/{1,2})[^\s\"'<>]*@")
_PARAMETER = re.compile(
    r"(?i)((?:pass(?:word|wd)?|pwd|psw|token|secret|auth|api_?key|key|sig(?:nature)?|user(?:name)?)\s*=)[^&\s\"'<>;#]+"
)


def fill_in(text: str, environment: Mapping[str, str] | None = None) -> tuple[str, list[str], list[str]]:
    """Text with every `${NAME}` replaced by that variable of the environment.

    Returns:
        the text, the values that were put in (they are secrets), and the names that are not set.
    """
    environment = os.environ if environment is None else environment
    put_in: list[str] = []
    unset: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            unset.append(name)
            return ""
        put_in.append(environment[name])
        return environment[name]

    return _NAMED.sub(value, text), put_in, unset


def secrets_of(url: str) -> list[str]:
    """What must not be shown of an address: its password, and user and password together, as written and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    if "@" not in parts.netloc:
        return []
    user_info = parts.netloc.rpartition("@")[0]
    password = user_info.partition(":")[2]
    return [word for word in (user_info, password) if word]


def hide_credentials(text: object, secrets: Iterable[str] = ()) -> str:
    """A text fit to be shown: what stands before the @ of an address and values of parameters such as `password=` are hidden.

    Args:
        secrets: further words that must not be seen, also where they are percent-encoded or decoded; those of less than three
            characters are left alone, they would hide half of every text (in an address they are hidden all the same).
    """
    told = _PARAMETER.sub(rf"\1{HIDDEN}", _USER_INFO.sub(rf"\1{HIDDEN}@", str(text)))
    forms: set[str] = set()
    for word in secrets:
        forms |= {word, quote(word, ""), quote(word), quote_plus(word), unquote(word), repr(word)[1:-1]}
    for form in sorted(forms, key=len, reverse=True):  # the longest first: a part of it would leave the rest
        if len(form) >= 3:
            told = told.replace(form, HIDDEN)
    return told
