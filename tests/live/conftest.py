"""What tests of the live part share: a trained run, and a real RTSP server."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "eval"))
sys.path.insert(0, str(Path(__file__).parents[1] / "eval" / "describe"))
from calls import call
from rtsp import RtspServer
from tiny_models import tiny_llama  # noqa: F401

from aadc.eval.video import Models, open_models
from aadc.extract.cli import main as extract_main
from aadc.extract.run_folder import RunFolder
from aadc.head.checkpoint import load_head
from aadc.head.cli import main as head_main
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


@pytest.fixture
def on_loopback(monkeypatch):
    """WebRTC's peers in the test's own process have one address, 127.0.0.1."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
