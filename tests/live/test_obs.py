"""OBS publishes: its way of WHIP on its own library (libdatachannel), which is no dependency of this project.

npm install --prefix FOLDER node-datachannel
AADC_NODE_MODULES=FOLDER/node_modules python -m pytest tests/live/test_obs.py
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("aiortc")
from web_peers import CELLS, Viewer, picture, until

HERE = Path(__file__).parent
FPS = 30
MODULES = Path(os.environ.get("AADC_NODE_MODULES", "none"))
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "node-datachannel").is_dir(),
    reason="needs node, and node-datachannel in the folder that AADC_NODE_MODULES names",
)


def numbered_units(file: Path, profile: str, pictures: int = 240) -> None:
    """Access units as x264 makes them in OBS: headers with each key picture, one every two seconds, no B-frames."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = CELLS * 40, CELLS * 24, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, FPS), Fraction(FPS), 2 * FPS
    encoder.options = {
        "profile": profile,
        "bf": "0",
        "preset": "veryfast",
        "x264-params": "keyint=60:scenecut=0:repeat-headers=1",
    }
    packets = []
    for number in range(1, pictures + 1):
        frame = av.VideoFrame.from_ndarray(picture(number, CELLS * 24, CELLS * 40), "rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    file.write_bytes(b"".join(len(data).to_bytes(4, "little") + data for data in map(bytes, packets)))


@pytest.mark.parametrize(("profile", "addresses"), [("baseline", "early"), ("high", "late")])
def test_obs_publishes(server, on_loopback, tmp_path, profile, addresses):
    """With or without a candidate in the offer, sound beside the picture, the first key lost: pictures come whole and in order
    from the next key on, sound is not taken, and when OBS leaves its place is free at once."""
    numbered_units(tmp_path / "units", profile)
    where = f"{server.url}/whip/door"
    command = ["node", HERE / "as_obs.mjs", where, server.token("publish"), tmp_path / "units", str(FPS), addresses]
    said_to = (tmp_path / "said").open("w")
    obs = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said_to, stderr=subprocess.STDOUT)

    def said() -> list[dict]:
        lines = (tmp_path / "said").read_text().splitlines(keepends=True)  # the last one may be half written
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def publishers() -> list[dict]:
        return [one for one in server.admin.get("/api/connections").json() if one["way"] == "in"]

    async def run():
        viewer = Viewer(server)
        (answered,) = await until(lambda: [line for line in said() if "status" in line], 60)
        assert answered["status"] == 201, answered["answer"]
        assert ("a=candidate" in answered["offer"]) == (addresses == "early")
        assert "opus/48000" in answered["offer"] and answered["answer"].count("a=inactive") == 1
        await until(lambda: {"state": "connected"} in said(), 60)
        await viewer.start()
        await until(lambda: len(viewer.seen) > 40, 60)
        shown = [
            number for number in viewer.seen if number != viewer.seen[0]
        ]  # first what was there before: nothing, or a still
        assert shown[0] > 2 * FPS
        assert all(0 < b - a < FPS for a, b in zip(shown, shown[1:], strict=False) if b > 5), shown
        (there,) = await asyncio.to_thread(publishers)
        assert there["size"] == [CELLS * 40, CELLS * 24]
        await viewer.stop()

    try:
        asyncio.run(run())
        obs.stdin.close()
        assert obs.wait(10) == 0
    finally:
        obs.kill()
        said_to.close()
    (last,) = (line for line in said() if "deleted" in line)
    assert last["deleted"] in (200, 404) and last["sound"] > 100
    assert publishers() == []
