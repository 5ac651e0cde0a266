"""What viewers cost: processor time of the media process with none, one and five, and what many connections leave behind.

    python benchmarks/viewers.py                # 15 s each, then 100 connections, half of them from killed processes
    python benchmarks/viewers.py --connects 0

A picture that moves is put into a slot 15 times a second (960 x 540), as capture does; viewers are aiortc's, in processes of
their own, and decode nothing.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aadc.live.media import Media

PICTURES_A_SECOND = 15

VIEWER = """
import asyncio, sys
import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
import aiortc.rtcrtpreceiver as receiver

class NoDecoder:
    def decode(self, frame):
        print(".", end="", flush=True)
        return []

receiver.get_decoder = lambda codec: NoDecoder()

async def main():
    connections = []
    for _ in range(int(sys.argv[1])):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTransceiver("video", "recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        print(connection.localDescription.sdp.replace("\\r\\n", "|"), flush=True)
        answer = (await asyncio.to_thread(sys.stdin.readline)).strip().replace("|", "\\r\\n")
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        connections.append(connection)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def processor_s(pid: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def left(pid: int) -> tuple[int, int, int]:
    """Threads, open files and MB of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd")), pages * 4096 // 2**20


async def viewer(media: "Media", connections: int = 1) -> tuple[subprocess.Popen, list[str]]:
    """A process with so many viewers; the connections' numbers."""
    command = [sys.executable, "-c", VIEWER, str(connections)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    peers = []
    for _ in range(connections):
        offer = (await asyncio.to_thread(process.stdout.readline)).strip(" .\n").replace("|", "\r\n")
        made = await media.ask("view", camera="door", offer=offer)
        process.stdin.write(made["answer"].replace("\r\n", "|") + "\n")
        process.stdin.flush()
        peers.append(made["peer"])
    return process, peers


async def main() -> None:
    """Measure and print."""
    import numpy as np

    from aadc.live.frame_slot import FrameSlot
    from aadc.live.media import Media, MediaSettings

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--connects", type=int, default=100)
    asked = parser.parse_args()
    slot = FrameSlot()
    media = Media(MediaSettings(views={"door": slot.descriptor}, most=200))
    await media.start()
    assert media.pid
    scene = np.kron(np.random.default_rng(0).integers(0, 255, (68, 200, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    given = 0

    async def film() -> None:
        nonlocal given
        begun = time.monotonic()
        while True:
            given += 1
            at = given * 4 % 600
            slot.write(np.ascontiguousarray(scene[:540, at : at + 960]), given / PICTURES_A_SECOND, 0, time.monotonic_ns())
            await asyncio.sleep(max(0.0, begun + given / PICTURES_A_SECOND - time.monotonic()))

    filming = asyncio.create_task(film())
    used = {}
    print("viewers  processor  of one  pictures that came")
    for count in (0, 1, 5):
        viewers = [await viewer(media) for _ in range(count)]
        await asyncio.sleep(2)
        for process, _ in viewers:
            os.set_blocking(process.stdout.fileno(), False)
            process.stdout.read()
        before, given_before, begun = processor_s(media.pid), given, time.monotonic()
        await asyncio.sleep(asked.seconds)
        used[count] = (processor_s(media.pid) - before) / (time.monotonic() - begun)
        came = [len(process.stdout.read() or "") / (given - given_before) for process, _ in viewers]
        shown = f"{min(came):.0%} at least" if came else "-"
        print(f"{count:7}  {used[count]:9.1%}  {used[count] / used.get(1, np.nan):6.2f}  {shown}", flush=True)
        for process, peers in viewers:
            await media.ask("end", peer=peers[0])
            process.kill()
            process.wait()
    await asyncio.sleep(3)
    if asked.connects:
        print("threads, files, MB before:", *left(media.pid))
        for turn in range(asked.connects // 10):
            process, peers = await viewer(media, 10)
            await asyncio.sleep(1)
            for peer in peers if turn % 2 else []:
                await media.ask("end", peer=peer)
            process.kill()
            process.wait()
        begun = time.monotonic()
        while (await media.ask("status"))["peers"] and time.monotonic() - begun < 60:
            await asyncio.sleep(0.5)
        gone_s = time.monotonic() - begun
        await asyncio.sleep(2)
        print(
            f"after {asked.connects} connections, half of them killed ({gone_s:.0f} s until the last was gone):",
            *left(media.pid),
        )
    filming.cancel()
    await media.stop()


if __name__ == "__main__":
    asyncio.run(main())
