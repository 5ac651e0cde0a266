"""A UDP path that loses and spoils packets, always the same ones of a seed: what carries pictures, both ways."""

import random
import re
import select
import socket
import threading


class LossyWay(threading.Thread):
    """Stands before a port of this machine, in a thread of its own; whoever sends to `port` reaches that one. What makes the
    connection (ICE, DTLS) passes. `loss`, `spoiled`: shares of the packets."""

    def __init__(self, to_port: int, seed: int = 0) -> None:
        super().__init__(daemon=True)
        self.loss = self.spoiled = 0.0
        self.lost = 0
        self._random = random.Random(seed)
        self._near, self._far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._near.bind(("127.0.0.1", 0))
        self._far.connect(("127.0.0.1", to_port))
        self.port = self._near.getsockname()[1]
        self._over = False
        self.start()

    def run(self) -> None:
        """Until `stop`."""
        client = None
        while not self._over:
            for one in select.select([self._near, self._far], [], [], 0.1)[0]:
                try:
                    data, address = one.recvfrom(65536)
                    client = address if one is self._near else client
                    kept = self._after_the_way(data)
                    if kept is not None and one is self._near:
                        self._far.send(kept)
                    elif kept is not None and client is not None:
                        self._near.sendto(kept, client)
                except OSError:
                    continue
        self._near.close()
        self._far.close()

    def stop(self) -> None:
        """Nothing passes any more."""
        self._over = True
        self.join()

    def _after_the_way(self, data: bytes) -> bytes | None:
        if not data or not 128 <= data[0] < 192:  # RTP and RTCP (RFC 7983)
            return data
        if self._random.random() < self.loss:
            self.lost += 1
            return None
        if self._random.random() < self.spoiled:
            at = self._random.randrange(12, len(data))
            return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]
        return data


def without_candidates(offer: str) -> str:
    """An offer that names no address: who made it is found by what it sends."""
    return "".join(line for line in offer.splitlines(True) if not line.startswith("a=candidate"))


def through_a_lossy_way(answer: str, seed: int = 0) -> tuple[LossyWay, str]:
    """The way before what an answer names, and the answer that leads there."""
    port = int(re.search(r"a=candidate:\S+ 1 udp \d+ 127.0.0.1 (\d+)", answer, re.IGNORECASE).group(1))
    way = LossyWay(port, seed)
    return way, answer.replace(f"127.0.0.1 {port} ", f"127.0.0.1 {way.port} ")
