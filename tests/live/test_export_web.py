"""Decided events over the web: what `aadc-live export` writes, for administrators, of their cameras alone."""

import io
import json
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from aadc.extract.run_folder import RunFolder
from aadc.live import export_api
from aadc.live.access import Access, Role, csrf_token
from aadc.live.cli import app
from aadc.live.clip_file import ClipFile
from aadc.live.clips import clip_path, complete
from aadc.live.kept_events import KeptEvents
from aadc.live.reader import Reader
from aadc.live.served import FixedCameras
from aadc.live.server import ServerSettings, create_app
from aadc.live.store import STORE, Store
from aadc.manifests.card import Card
from aadc.manifests.manifest import Row, write_manifest

sys.path.insert(0, str(Path(__file__).parent))

from made_events import NOON_NS, messages  # noqa: E402
from pictures import jpeg_of  # noqa: E402

CAMERAS = ["yard", "garage <b>"]
PASSWORD = "correct horse battery"
CARD = Card.model_validate(
    {
        "title": "a yard",
        "classes": [
            {"name": "walk", "kind": "normal", "prompt": "a walk"},
            {"name": "RoadAccidents", "kind": "abnormal", "prompt": "an accident"},
        ],
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run says of its classes, its stride and its head's clock."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    row = {"video": "a.mp4", "split": "train", "labels": ["walk"], "segments": [], "frames": 9}
    write_manifest([Row.model_validate(row, context=CARD)], CARD, run.manifest_csv)
    run.write_record({"settings": {"stride": 5}})
    run.head.mkdir()
    (run.head / "config.json").write_text('{"snippet_s": 0.5}')
    return run


@pytest.fixture
def house(tmp_path, run, monkeypatch):
    monkeypatch.setattr("aadc.live.passwords._COST", 2**10)
    made = House(tmp_path / "live", run)
    yield made
    made.access.close()
    made.events.close()


class House:
    """Four events with clips, two a camera, and the application over them."""

    def __init__(self, data: Path, run: RunFolder) -> None:
        data.mkdir()
        self.data, self.ids = data, []
        store = Store(data / STORE)
        for number in range(4):
            told = messages(number, CAMERAS[number % 2], start_s=10.0, end_s=11.0, start_ns=NOON_NS + number * 86400 * 10**9)
            for message in told:
                store.put(message, "words").result(30)
            clip = ClipFile(data / clip_path(told[2].after))
            for frame in range(20):
                clip.add(jpeg_of(frame), 9.5 + frame * 0.1)
            clip.close()
            store.set_clip(told[2].after.id, str(complete(data, told[2].after, (), 9.5))).result(30)
            self.ids.append(told[2].after.id)
        store.close()
        (data / "exports" / "left").mkdir(parents=True)  # of a server that was killed
        self.access, self.events = Access(data / "access.sqlite"), KeptEvents(data)
        for role in Role:
            self.access.add_user(role.value, role, PASSWORD)
        self.access.add_user("narrow", Role.ADMINISTRATOR, PASSWORD, [CAMERAS[1]])
        self.app = create_app(ServerSettings(data, run=run.path), self.access, FixedCameras(CAMERAS), self.events)
        self.http = TestClient(self.app, "http://127.0.0.1:8765")

    def decide(self, *said):
        for event, what in zip(self.ids, said, strict=False):
            self.events.decide(event, what, None, "anna")

    def ask(self, name, what="zip"):
        secret = self.access.log_in(name, PASSWORD, "10.0.0.1")
        headers = {"Cookie": f"aadc={secret}", "X-CSRF-Token": csrf_token(secret), "Origin": "http://127.0.0.1:8765"}
        return self.http.post("/api/export", headers=headers, json={"what": what})

    def left(self):
        return list((self.data / "exports").glob("*"))


def test_it_is_what_the_command_writes(house, run, tmp_path):
    house.decide("confirmed", "dismissed", "confirmed")
    answer = house.ask("administrator")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip"
    assert "learned.zip" in answer.headers["content-disposition"] and answer.headers["x-aadc-events"] == "3"
    typed = ["export", str(tmp_path / "learned"), "--run", str(run.path), "--data", str(house.data)]
    assert CliRunner().invoke(app, typed).exit_code == 0
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        inside = {name: archive.read(name) for name in archive.namelist()}
    files = [path for path in (tmp_path / "learned").rglob("*") if path.is_file()]
    assert inside == {str(path.relative_to(tmp_path)): path.read_bytes() for path in files}
    assert len([name for name in inside if name.endswith(".mp4")]) == 3
    for what, name in (("csv", "feedback.csv"), ("label_studio", "label_studio.json")):
        assert house.ask("administrator", what).content == (tmp_path / "learned" / name).read_bytes()
    assert house.left() == []


def test_it_is_logged_and_holds_ones_own_cameras_alone(house):
    house.decide("confirmed", "confirmed", "dismissed", "dismissed")
    tasks = house.ask("narrow", "label_studio").json()
    assert {task["data"]["camera"] for task in tasks} == {CAMERAS[1]} and len(tasks) == 2
    entry = house.access.log()[0]
    told = "1 confirmed, 1 dismissed, 0 left out, label_studio"
    assert (entry.who, entry.what, entry.subject) == ("narrow", "exported", told)
    reader = Reader(house.data / STORE)
    assert (reader.log()[0].who, reader.log()[0].what) == ("narrow", "exported 2 events")
    reader.close()
    before = len(house.access.log())
    for name in ("viewer", "reviewer"):
        assert house.ask(name).status_code == 403
    assert not [one for one in house.access.log()[: len(house.access.log()) - before] if one.what == "exported"]


def test_what_cannot_be_exported_is_said_and_leaves_nothing(house, monkeypatch):
    assert house.left() == []  # what a killed server left is gone since this one began
    answer = house.ask("administrator")
    assert answer.status_code == 422 and "no decided event has a clip" in answer.json()["title"]
    assert house.ask("administrator", "exe").status_code == house.ask("administrator", ["zip"]).status_code == 400
    assert house.left() == [] and not [one for one in house.access.log() if one.what == "exported"]
    # One that does not end is ended.
    house.decide("confirmed")
    monkeypatch.setattr(export_api, "WITHIN_S", 0.05)
    answer = house.ask("administrator")
    assert answer.status_code == 503 and "did not come to an end" in answer.json()["title"] and house.left() == []


def test_one_at_a_time(house, monkeypatch):
    house.decide("confirmed")
    began, go, made = threading.Event(), threading.Event(), export_api._made

    async def slowly(job):
        import anyio.to_thread

        began.set()
        await anyio.to_thread.run_sync(go.wait, 30)
        return await made(job)

    monkeypatch.setattr(export_api, "_made", slowly)
    answers = []
    first = threading.Thread(target=lambda: answers.append(house.ask("administrator", "csv")))
    first.start()
    assert began.wait(30)
    refused = house.ask("narrow", "csv")
    assert refused.status_code == 503 and refused.headers["retry-after"] == "30"
    go.set()
    first.join(60)
    assert answers[0].status_code == 200 and json.dumps(answers[0].text).count("RoadAccidents") == 1 and house.left() == []
