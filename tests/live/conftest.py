"""What tests of the live part share: a trained run, servers, a small disk."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
sys.path.insert(0, str(Path(__file__).parents[1] / "eval" / "describe"))
from calls import call
from rtsp import RtspServer
from tiny_models import tiny_llama  # noqa: F401
from webhook import Hook

from aadc.eval.video import Models, open_models
from aadc.extract.cli import main as extract_main
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import load_head
from aadc.head.cli import main as head_main
from aadc.live.data_folder import MARKER
from aadc.manifests.cli import main as manifest_main


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Six drawn scenes through extraction and training: the run, its models, its head."""
    folder = tmp_path_factory.mktemp("live-run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(manifest_main, "demo", "--seed", "3", "--train", "4", "--test", "2")[0] == 0
        assert call(extract_main, "demo/demo.csv", "--models", "miniature", "--stride", "10")[0] == 0
        assert call(head_main, "--epochs", "2", "--set", "window=16")[0] == 0
    run = RunFolder(folder / "runs" / "demo")
    return folder, run, open_models(run, Models()), load_head(run.head)


@pytest.fixture
def rtsp_server(tmp_path):
    """A server of the test's own folder, up."""
    server = RtspServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server of two cameras and what goes with it, one for a file of tests; in the end it ends well."""
    from web_server import Server

    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    started.ends_well()


@pytest.fixture
def hook():
    """A web server that takes every notice."""
    with Hook() as hook:
        yield hook


@pytest.fixture
def disk(tmp_path):
    """A disk of fifty megabytes, with its marker."""
    disk = tmp_path / "live"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        (disk / MARKER).touch()
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
def on_loopback(monkeypatch):
    """WebRTC's peers in the test's own process have one address, 127.0.0.1."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
