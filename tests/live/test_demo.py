"""The made-up cameras: their server, as the demo starts it and as benchmarks do, and the file of cameras that is written."""

import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtsp import clock_video

from aadc.live.demo import _quoted
from aadc.live.rtsp_server import rtsp_server
from aadc.live.sources import open_source


@pytest.mark.parametrize("follows", [True, False])
def test_a_recording_comes_over_rtsp(tmp_path, follows):
    pytest.importorskip("aio_rtsp_toolkit")
    clock_video(tmp_path / "a.mp4", seconds=1)
    command = ["aadc.live.following", "aadc.live.demo", str(os.getpid())] if follows else ["aadc.live.demo"]
    with (
        rtsp_server(lambda port: [*command, str(tmp_path), str(port)]) as address,
        open_source(f"{address}/a.mp4?play_count=0", "url") as (container, stream),
    ):
        assert next(container.decode(stream)).width == 320


@given(st.text(st.characters(codec="utf-8")))
def test_any_folder_is_quoted_as_toml_has_it(text):
    assert tomllib.loads(f"run = {_quoted(text)}\n") == {"run": text}
