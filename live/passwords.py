"""Passwords of people as they are stored: scrypt (RFC 7914), each with a salt of its own."""

import hashlib
import hmac
import secrets

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
_COST = 2**15  # scrypt's N: 32 MB and some 80 ms a try
NOBODY = f"{_COST}$8$1${'0' * 32}${'0' * 64}"  # checked where a name is not known, so that both take as long


def scrypt(password: str) -> str:
    """A password as it is stored: cost, block, lanes, salt and key, all it takes to check one."""
    salt = secrets.token_bytes(16)
    return f"{_COST}$8$1${salt.hex()}${_derived(password, salt, _COST, 8, 1).hex()}"


def same(password: str, stored: str) -> bool:
    """Whether this is the password that was stored; takes as long whichever it is."""
    cost, block, lanes, salt, right = stored.split("$")
    found = _derived(password[: LONGEST_PASSWORD + 1], bytes.fromhex(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(found, bytes.fromhex(right))


def _derived(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    encoded = password.encode(errors="surrogatepass")
    return hashlib.scrypt(encoded, salt=salt, n=cost, r=block, p=lanes, maxmem=cost * block * 256, dklen=32)
