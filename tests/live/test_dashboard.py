"""The dashboard in a real browser, over the store of events, as people use it; names and words in it are hostile."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from chromium import chromium, log_in, needs_chromium, waited
from made_events import an_event, messages
from web_server import Server

from aadc.live.event_pictures import keeping
from aadc.live.frame_slot import FrameSlot
from aadc.live.reader import Reader
from aadc.live.store import STORE, Store
from aadc.live.text_tower import _Tower

pytestmark = needs_chromium

HOSTILE = "yard <img src=x onerror=alert(1)>"
SEEN = ["a bag on the floor", "two persons fight", "a car in the snow"]
WORDS = "A fight at 00:02. </div><script>alert(2)</script> **bold** $x$ [a](javascript:alert(3))"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run as far as it says which CLIP it was."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text('{"models": {"clip": {"source": "miniature", "weights": ""}}}')
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("live")
    store = Store(folder / STORE)
    for number, camera in enumerate(["door", HOSTILE, "door"]):
        *_, end = [store.put(message, WORDS, "composed") for message in messages(number, camera)]
        end.result(30)
    tower = _Tower(run)
    for number, camera in enumerate(["door", HOSTILE, "door"]):  # what CLIP saw, as if it were the words themselves
        clip, text = tower(SEEN[number])
        store.write(keeping(an_event(number, camera).id, clip, 1.0, text[None].astype(np.float16))).result(30)
    store.set_health("disk <b>", False, "only 0.2 GB *left* <b>").result(30)
    store.close()
    (folder / "status.json").write_text('{"classes": ["RoadAccidents", "fall"]}')
    return folder


@pytest.fixture(scope="module")
def server(data, run):
    scorer = FrameSlot(most_pixels=1)
    scorer.tell({"problem": "no space <b>", "written_ns": 7 * 10**9})
    job = {"data": str(data), "cameras": ["door", HOSTILE], "run": str(run), "scorer": scorer.descriptor}
    started = Server(data, job, (scorer.descriptor,))
    yield started
    started.ends_well()
    scorer.close()


@pytest.fixture(scope="module")
def browser():
    with chromium("--disable-background-networking") as started:
        yield started


@pytest.fixture
def page(browser, server):
    """A page where nobody is logged in. Dialogs and requests to anybody else are faults."""
    context = browser.new_context(base_url=server.url, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    faults = []
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith((server.url, "blob:", "data:")) or faults.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults


def verdicts(data) -> dict[str, str | None]:
    reader = Reader(data / STORE)
    try:
        return {kept.event.id: kept.label or kept.verdict for kept in reader.events()}
    finally:
        reader.close()


def said(page, words: str) -> None:
    """Until the page says so of the event that is looked at."""
    waited(page, lambda: words in page.locator(".one").inner_text())


def test_nobody_sees_it_without_a_login(page):
    page.goto("/ui/review")
    assert page.url.endswith("/login")


def test_events_are_decided_by_one_key_each_and_taken_back(page, server, data):
    log_in(page, "admin", server.password)
    page.goto("/ui/review")
    cards = page.locator(".card")
    cards.first.wait_for()
    assert cards.count() == 3 and page.locator(".one h2").inner_text() == "RoadAccidents"
    assert WORDS in page.locator(".one").inner_text(), "words are shown as they are"
    assert page.locator(".front script, .front img[src=x], .front a[href^=javascript]").count() == 0
    newest = cards.first.get_attribute("data-id")
    page.keyboard.press("c")
    waited(page, lambda: verdicts(data)[newest] == "confirmed")
    waited(page, lambda: cards.count() == 2)  # it is no longer among those to review
    said(page, "confirmed. Press u to undo.")  # but whoever looks at it goes on doing so
    page.keyboard.press("u")
    waited(page, lambda: verdicts(data)[newest] is None and cards.count() == 3)
    page.keyboard.press("j")
    waited(page, lambda: HOSTILE in page.locator(".one").inner_text())
    second = page.locator(".card[aria-current=true]").get_attribute("data-id")
    page.keyboard.press("r")
    page.locator(".one input").fill("cd")  # while one types, keys are letters
    for turn in range(2):  # what the head does not know is told of, for each event anew, and taken the second time
        page.keyboard.press("Enter")
        said(page, "The head knows no cd, but RoadAccidents, fall.")
        assert set(verdicts(data).values()) == {None}
        if turn == 0:
            page.keyboard.press("Escape")
            page.keyboard.press("r")
            page.locator(".one input").fill("cd")
    page.keyboard.press("u")  # a letter still, though all was drawn anew
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    waited(page, lambda: verdicts(data)[second] == "cd")
    said(page, "renamed to cd. Press u to undo.")
    assert verdicts(data)[newest] is None
    page.keyboard.press("u")
    waited(page, lambda: set(verdicts(data).values()) == {None})
    done = [entry["what"] for entry in server.admin.get("/api/log").json()]
    assert {"decided: confirmed", "decided: renamed", "decided: open"} <= set(done)


def test_a_viewer_sees_his_cameras_alone_and_decides_nothing(page, server, data):
    asked = {"name": "eve", "password": "a long password", "role": "viewer", "cameras": [HOSTILE]}
    assert server.admin.post("/api/users", json=asked).status_code == 201
    log_in(page, "eve", "a long password")
    page.goto("/ui/review")
    page.locator(".card").first.wait_for()
    assert page.locator(".card").count() == 1 and HOSTILE in page.locator(".card").inner_text()
    page.keyboard.press("d")
    waited(page, lambda: "does not decide" in page.locator(".one").inner_text())
    assert set(verdicts(data).values()) == {None} and not page.get_by_text("Export decided events").is_visible()
    page.goto("/ui/live?camera=door")
    page.get_by_text("Scores").or_(page.locator(".legend")).first.wait_for()
    assert "door" not in page.locator("[data-testid=stSelectbox]").inner_text()
    store = Store(data / STORE)
    for camera in (HOSTILE, "door"):
        store.set_health(f"picture of {camera}", False, f"frozen, says {camera}").result(30)
    store.close()
    page.goto("/ui/health")
    page.get_by_text("frozen, says yard").first.wait_for()
    page.get_by_text("no space <b>").first.wait_for()  # what is no camera's, everybody sees
    assert page.get_by_text("says door").count() == 0 and page.get_by_text("picture of door").count() == 0
    page.goto("/ui/settings")
    page.get_by_text("You are eve, viewer").wait_for()
    assert page.get_by_text("Who did what").count() == 0 and page.get_by_text("Tokens of devices").count() == 0


def test_pictures_are_looked_through_in_words_each_persons_own(page, server):
    """The likest first, and looked at; a switch goes back to words; what somebody may not see is not found."""
    log_in(page, "admin", server.password)
    page.goto("/ui/review")
    cards = page.locator(".card")
    cards.first.wait_for()
    page.get_by_text("pictures", exact=True).click()

    def looked_for(words):
        page.get_by_label("Search for").fill(words)
        page.keyboard.press("Enter")

    for number, camera in ((1, HOSTILE), (0, "door")):
        looked_for(SEEN[number])
        best = an_event(number, camera).id
        until = page.locator(f'.card[data-id="{best}"]:first-child', has_text="similarity 1.000")
        until.wait_for(timeout=90_000)  # CLIP is loaded first
        waited(page, lambda here=until: here.get_attribute("aria-current") == "true")
        assert cards.count() == 3
    looked_for("word " * 40)  # 200 characters are what the field takes; CLIP reads fewer
    looked_for('" OR 1=1 <script>alert(1)</script>')
    waited(page, lambda: cards.count() == 3)
    page.get_by_text("words", exact=True).click()
    waited(page, lambda: "Nothing like that" in page.locator(".list").inner_text())
    asked = {"name": "otto", "password": "a long password", "role": "viewer", "cameras": ["door"]}
    assert server.admin.post("/api/users", json=asked).status_code == 201
    other = server.client("otto", "a long password")
    found = other.get("/api/events/like", params={"words": SEEN[1]}).json()
    assert {one["camera"] for one in found["events"]} == {"door"} and len(found["events"]) == 2 and not found["note"]
    other.close()


def test_what_cannot_be_exported_is_said_on_the_page(page, server):
    log_in(page, "admin", server.password)
    page.goto("/ui/review")
    page.get_by_text("Export decided events").click()
    page.get_by_text("All with clips (zip)").click()
    waited(page, lambda: "Nothing exported" in page.locator(".away").inner_text())


def test_a_session_that_is_ended_sees_nothing_more(page, server):
    asked = {"name": "leaves", "password": "a long password", "role": "viewer", "cameras": ["door"]}
    assert server.admin.post("/api/users", json=asked).status_code == 201
    log_in(page, "leaves", "a long password")
    page.locator(".tile").first.wait_for()
    (session,) = [one for one in server.admin.get("/api/sessions").json() if one["user"] == "leaves"]
    assert server.admin.delete(f"/api/sessions/{session['id']}").status_code == 200
    waited(page, lambda: page.get_by_text("You are logged out").count() == 1)
    waited(page, lambda: page.locator(".tile").count() == 0)


def test_on_a_phone_nothing_runs_off_the_screen(page, server):
    page.set_viewport_size({"width": 400, "height": 800})
    log_in(page, "admin", server.password)
    for path, there in [
        ("/ui/", ".tile"),
        ("/ui/review", ".card"),
        ("/ui/health", "[data-testid=stAlert]"),
        ("/ui/settings", ".sheet"),
    ]:
        page.goto(path)
        page.locator(there).first.wait_for()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 400, path
    end = page.locator(".rows").get_by_role("button", name="End").first
    end.wait_for()
    box = end.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400, "a list's buttons are reached without pushing it aside"


def test_what_is_drawn_anew_is_not_faded_meanwhile(page, server):
    """Streamlit fades it to a third, which on a busy server is most of the time, and cannot be read in the dark."""
    log_in(page, "admin", server.password)
    page.locator(".tile").first.wait_for()
    seen = "const part = document.querySelector('.stElementContainer'); part.style.opacity = .3; part.dataset.stale = 'true';"
    assert page.evaluate(f"() => {{ {seen} return getComputedStyle(part).opacity; }}") == "1"
