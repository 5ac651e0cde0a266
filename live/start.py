"""One start of the program: what the seconds of its streams count from."""

import secrets
import time

from pydantic import Field

from aadc.manifests.records import Record


class Start(Record):
    """`id`: no two starts have the same, whatever the clocks say, so an event's camera, start and second name one moment.
    `began_ns`: second 0 of all its streams (monotonic, nanoseconds)."""

    id: str = Field("", max_length=16, pattern=r"^[0-9a-f]*$")
    began_ns: int = 0

    @classmethod
    def now(cls) -> "Start":
        """A new one."""
        return cls(id=secrets.token_hex(6), began_ns=time.monotonic_ns())

    def arrived_ns(self, second: float, utc_ns: int, arrived_ns: int) -> int:
        """UTC at which a frame came in that was taken at `second` and `utc_ns` and came at `arrived_ns` (monotonic)."""
        return utc_ns + arrived_ns - self.began_ns - round(second * 1e9)
