"""Any process killed while somebody looks: the live page says what is the matter, and shows picture and scores again by itself.
And rules that are changed meanwhile: what scores goes by them without a restart."""

import math
import os
import re
import signal
import socket
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import chromium, log_in, needs_chromium, waited
from rtsp import clock_video
from test_watch import Watching
from waiting import wait_until
from web_server import media_process


class Live:
    """All processes, their server, and an administrator's client."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder = folder
        clock_video(folder / "a.mp4", seconds=4)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        text = (
            f'run = "{run}"\nsnippet_s = 0.4\n[rules]\nopen_at = 0.01\nclose_at = 0.0\n'
            f"[web]\nport = {self.url.rpartition(':')[2]}\n"
            '[[camera]]\nname = "door"\nsource = "a.mp4"\nloop = true\n'
        )
        self.watching = Watching(folder, text)

    def ready(self) -> None:
        wait_until(lambda: "password " in self.watching.log.read_text() and self.watching.scored("door") > 3, 90)
        self.password = self.watching.log.read_text().partition("password ")[2].split()[0]
        self.admin = httpx.Client(base_url=self.url, timeout=20)
        wait_until(lambda: self.get("/health") is not None, 60)
        assert self.admin.post("/login", data={"name": "admin", "password": self.password}).status_code == 303
        self.admin.headers["X-CSRF-Token"] = self.get("/api/me")["csrf"]

    def get(self, path: str):
        try:
            answer = self.admin.get(path)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def pid(self, what: str) -> int:
        status = self.watching.status
        if what == "media":
            return media_process(status["web"]["pid"])
        return status["cameras"][what]["pid"] if what in status["cameras"] else status[what]["pid"]


@pytest.fixture(scope="module")
def live(tmp_path_factory, trained):
    started = Live(tmp_path_factory.mktemp("recovery"), trained[1].path)
    try:
        started.ready()
        yield started
    finally:
        started.watching.end()


@pytest.fixture(scope="module")
def context(live):
    """A browser in which an administrator is logged in."""
    with chromium() as browser:
        context = browser.new_context(base_url=live.url)
        page = context.new_page()
        log_in(page, "admin", live.password)
        page.close()
        yield context


@pytest.fixture(scope="module")
def page(context):
    """The live page, open all the time."""
    page = context.new_page()
    page.goto("/ui/live?camera=door")
    well(page)
    yield page
    page.close()


@pytest.fixture(scope="module")
def tiles(context):
    """The page of all cameras, open all the time."""
    page = context.new_page()
    page.goto("/ui/")
    tiles_are_well(page)
    yield page
    page.close()


def pictures(page) -> int:
    """How many were painted, of those that came over WebRTC."""
    video = page.locator(".front video")
    return video.first.evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames") if video.count() else 0


def age_of_score(page) -> float:
    """Seconds, as the page says them; infinite where it says none."""
    legend = page.locator(".front .legend span")
    said = re.search(r", ([0-9.]+) s old", legend.first.inner_text() if legend.count() else "")
    return float(said[1]) if said else math.inf


def well(page) -> None:
    """A moving picture, a score that is not old, and nothing said to be the matter."""
    before = pictures(page)
    waited(page, lambda: "Live" in page.locator(".front .state").inner_text(), 90)
    waited(page, lambda: pictures(page) not in (0, before), 30)
    waited(page, lambda: age_of_score(page) < 4, 30)
    waited(page, lambda: page.locator(".front .matter:visible").count() == 0, 30)


def tiles_are_well(page) -> None:
    """Online, nothing the matter, and pictures that are new."""
    waited(page, lambda: page.locator(".tile .state").all_inner_texts() == ["online"], 90)
    waited(page, lambda: page.locator(".front .matter:visible").count() == 0, 30)
    waited(page, lambda: not trouble_of(page), 30)
    shown = page.locator(".tile img")
    before = shown.get_attribute("src") if shown.count() else None
    waited(page, lambda: shown.count() == 1 and shown.get_attribute("src") != before, 30)
    assert shown.evaluate("picture => picture.naturalWidth") > 0


def trouble_of(page) -> str:
    """What its only tile, or the page over it, says is the matter: all but how far scoring keeps up."""
    said = page.locator(".tile .words .faint").first.inner_text() + page.locator(".front .matter").inner_text()
    return " · ".join(part for part in said.split(" · ") if not re.fullmatch(r"real-time factor [0-9.]+|[0-9]+ dropped|", part))


class Killed:
    """A process that is killed."""

    def __init__(self, live: Live, what: str) -> None:
        self.live, self.what, self.dead = live, what, [live.pid(what)]
        os.kill(self.dead[0], signal.SIGKILL)

    def again(self) -> bool:
        """True; a camera's process, or the server, may be back before anybody saw that it was gone: then it is killed again."""
        if self.what in ("door", "web") and (there := self._another()):
            with suppress(ProcessLookupError):
                os.kill(there, signal.SIGKILL)
            self.dead.append(there)
        return True

    def is_back(self) -> bool:
        """Another one is there, and the server answers."""
        return bool(self.live.get("/health") and self._another())

    def _another(self) -> int | None:
        try:
            there = self.live.pid(self.what)
        except (OSError, LookupError, ValueError):  # it is between two
            return None
        return None if there in self.dead else there


@needs_chromium
@pytest.mark.parametrize(
    "killed,words", [("score", "Scoring stopped"), ("door", "The camera is"), ("web", "The server does not answer")]
)
def test_tiles_tell_of_a_killed_process_and_come_back_by_themselves(live, tiles, killed, words):
    loaded = tiles.evaluate("performance.timeOrigin")
    gone = Killed(live, killed)
    waited(tiles, lambda: gone.again() and words in trouble_of(tiles), 20)
    wait_until(gone.is_back, 60)
    tiles_are_well(tiles)
    assert tiles.evaluate("performance.timeOrigin") == loaded, "nobody loaded the page anew"


@needs_chromium
@pytest.mark.parametrize(
    "killed,part,words",
    [
        ("score", "matter", "Scoring stopped"),
        ("door", "matter", "The camera is"),
        ("media", "state", "Connecting"),
        ("web", "matter", "The server does not answer"),
    ],
)
def test_a_killed_process_is_told_of_and_comes_back_by_itself(live, page, killed, part, words):
    loaded = page.evaluate("performance.timeOrigin")
    gone = Killed(live, killed)
    waited(page, lambda: gone.again() and words in page.locator(f".front .{part}").inner_text(), 15)
    wait_until(gone.is_back, 60)
    well(page)
    assert page.evaluate("performance.timeOrigin") == loaded, "nobody loaded the page anew"


def test_rules_changed_on_the_way_count_within_seconds_and_lose_no_event(live):
    """The open event goes on under rules that allow it, and closes by those that do not; the scoring process is the same."""
    scorer = live.pid("score")
    wait_until(lambda: any(event["ending"] is None for event in live.get("/api/events")), 30)
    (going_on,) = [event for event in live.get("/api/events") if event["ending"] is None]

    def change(**rules):
        answer = live.admin.patch("/api/cameras/door/settings", json={"rules": rules})
        assert answer.status_code == 200, answer.text
        return answer.json()["rules"]

    change(open_at=1.0)
    took = wait_until(lambda: live.get("/api/cameras/door/recent")["open_at"] == 1.0, 10)
    scored = live.watching.scored("door")
    wait_until(lambda: live.watching.scored("door") > scored + 5, 20)
    assert live.get(f"/api/events/{going_on['id']}")["ending"] is None, "it may go on"
    change(close_at=1.0, close_after_s=0.4, merge_gap_s=0)
    wait_until(lambda: live.get(f"/api/events/{going_on['id']}")["ending"] == "quiet", 20)
    assert took < 5 and live.pid("score") == scorer
    assert not [event for event in live.get("/api/events") if event["ending"] is None], "and nothing opens any more"
    with sqlite3.connect(live.folder / "live" / "events.sqlite") as db:
        (count,) = db.execute("SELECT count(*) FROM events WHERE id = ?", (going_on["id"],)).fetchone()
    assert count == 1
    assert live.admin.delete("/api/cameras/door/settings").json()["changed"] == {}
    wait_until(lambda: live.get("/api/cameras/door/recent")["open_at"] == 0.01, 10)
    wait_until(lambda: any(event["ending"] is None for event in live.get("/api/events")), 30)
