"""How often somebody may try: wrong passwords, new connections."""

import ipaddress
import math
import threading


class TooManyError(Exception):
    """Too many tries. `wait_s`: when to come back (seconds)."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many tries; come back in {math.ceil(wait_s)} seconds")
        self.wait_s = wait_s


class Attempts:
    """At most `most` tries in any `within_s` seconds for one key (an address, a name). It remembers 10,000 keys, no more."""

    KEYS = 10_000

    def __init__(self, most: int, within_s: float) -> None:
        self._most = most
        self._within_s = within_s
        self._lock = threading.Lock()
        self._times: dict[str, list[float]] = {}

    def take(self, key: str, now: float) -> None:
        """Count one try (`now` in seconds).

        Raises:
            TooManyError: this key has used up its tries.
        """
        key = _network(key)
        with self._lock:
            times = self._fresh(key, now)
            if len(times) >= self._most:
                raise TooManyError(max(times[0] + self._within_s - now, 1.0))
            self._times.pop(key, None)
            self._times[key] = [*times, now]
            while len(self._times) > self.KEYS:
                self._times.pop(next(iter(self._times)))

    def give_back(self, key: str) -> None:
        """The last try of this key was none."""
        with self._lock:
            if times := self._times.get(_network(key)):
                times.pop()

    def _fresh(self, key: str, now: float) -> list[float]:
        return [then for then in self._times.get(key, ()) if 0 <= now - then < self._within_s]


def _network(key: str) -> str:
    """Who has one IPv6 address has 2 ** 64 of them: their network counts. One of IPv4 that is written as IPv6, as a server that
    listens on `::` sees them all, is itself: else everybody would share one network."""
    try:
        address = ipaddress.ip_address(key)
    except ValueError:
        return key
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return (
        str(address) if address.version == 4 or address.is_loopback else str(ipaddress.ip_network((address, 64), strict=False))
    )
