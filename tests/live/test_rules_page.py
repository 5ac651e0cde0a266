"""Rules and zones changed on the dashboard in a real browser: by mouse, by finger, by keys alone; on a phone, in the dark."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import chromium, log_in, needs_chromium, waited
from web_server import Server

from aadc.live.frame_slot import FrameSlot

pytestmark = needs_chromium

HOSTILE = "yard <img src=x onerror=alert(1)>"
GATE = {"name": "gate <b>", "polygon": [[0.1, 0.2], [0.5, 0.2], [0.5, 0.8], [0.1, 0.8]]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("rules")
    view = FrameSlot()
    view.write(np.full((90, 160, 3), 90, np.uint8), 0.0, time.time_ns(), time.monotonic_ns())
    file = {"cameras": {"door": {"zones": [GATE]}}}
    job = {"data": str(data), "cameras": ["door", HOSTILE], "views": {"door": view.descriptor}, "file": file}
    started = Server(data, job, (view.descriptor,))
    yield started
    started.ends_well()


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, server, request):
    """The page for the door's rules, as an administrator sees it. Dialogs and errors are faults."""
    asked = getattr(request, "param", {"viewport": {"width": 1200, "height": 1000}})
    server.admin.delete("/api/cameras/door/settings")
    server.admin.delete("/api/settings")
    context = browser.new_context(base_url=server.url, **asked)
    page, faults = context.new_page(), []
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda one: one.url.startswith((server.url, "blob:", "data:")) or faults.append(one.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    log_in(page, "admin", server.password)
    page.goto("/ui/rules")
    page.locator(".front select").select_option("=door")
    page.locator(".zonerow").wait_for()
    yield page
    context.close()
    assert not faults


def settings_of(server, camera="door"):
    return server.admin.get(f"/api/cameras/{camera}/settings").json()


def corner(page, number):
    """Where a corner is on the screen."""
    place = page.locator(f"[data-corner='{number}']")
    place.evaluate("one => one.scrollIntoView({ block: 'center' })")
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def save(page):
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: what scores goes by it").wait_for()


def test_rules_are_changed_and_put_back_and_the_log_shows_who(page, server):
    page.locator("#rule-open_at").fill("0.8")
    page.locator("#rule-most_an_hour").fill("5")
    save(page)
    assert settings_of(server)["rules"] | {"open_at": 0.8, "most_an_hour": 5} == settings_of(server)["rules"]
    assert "0.5 · admin" in page.locator("[data-rule=open_at]").inner_text()
    page.get_by_label("put 20 back for most_an_hour").click()
    save(page)
    assert set(settings_of(server)["changed"]) == {"open_at"}
    page.locator("#rule-open_at").fill("2")
    page.locator("#rule-close_at").fill("7")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Not done").wait_for()
    told = page.locator(".told li").all_inner_texts()
    assert len(told) == 2 and "open_at" in told[0] and "close_at" in told[1]
    page.get_by_role("button", name="Undo").click()
    waited(page, lambda: page.locator("#rule-open_at").input_value() == "0.8")
    page.get_by_role("button", name="Back to the file").click()
    page.get_by_text("The file's values count again").wait_for()
    assert settings_of(server)["changed"] == {} and page.locator("#rule-open_at").input_value() == "0.5"
    log = [(one["who"], one["camera"], one["what"], one["subject"]) for one in server.admin.get("/api/log").json()[:4]]
    assert log[::-1] == [
        ("admin", "door", "changed: open_at", "0.5 -> 0.8"),
        ("admin", "door", "changed: most_an_hour", "20 -> 5"),
        ("admin", "door", "changed: most_an_hour", "5 -> 20"),
        ("admin", "door", "changed: open_at", "0.8 -> 0.5"),
    ]
    page.goto("/ui/settings")
    page.get_by_text("Who did what").wait_for()


def test_what_another_changed_meanwhile_is_not_undone(page, server):
    page.locator("#rule-open_at").fill("0.9")
    server.admin.patch("/api/cameras/door/settings", json={"rules": {"open_at": 0.7}})
    page.get_by_role("button", name="Save").click()
    page.get_by_text("somebody changed this meanwhile").wait_for()
    assert settings_of(server)["rules"]["open_at"] == 0.7


def test_zones_are_drawn_with_a_mouse(page, server):
    x, y = corner(page, 2)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 30, steps=4)
    page.mouse.up()
    wide = page.locator(".stage.zones").bounding_box()
    between = page.locator("[data-between='0']").bounding_box()
    page.mouse.move(between["x"] + between["width"] / 2, between["y"] + between["height"] / 2)
    page.mouse.down()
    page.mouse.move(between["x"] + between["width"] / 2, between["y"] - 20, steps=4)
    page.mouse.up()
    save(page)
    (zone,) = settings_of(server)["zones"]
    assert zone["name"] == GATE["name"] and len(zone["polygon"]) == 5
    assert zone["polygon"][3] == pytest.approx([0.5 + 60 / wide["width"], 0.8 + 30 / wide["height"]], abs=0.005)
    assert zone["polygon"][1][0] == pytest.approx(0.3, abs=0.005) and zone["polygon"][1][1] < 0.2
    page.mouse.dblclick(*corner(page, 1))
    x, y = corner(page, 2)
    page.mouse.move(x - 40, y - 40)  # within: the zone as a whole, which stays in the picture
    page.mouse.down()
    page.mouse.move(x + 3000, y - 40, steps=6)
    page.mouse.up()
    save(page)
    (moved,) = settings_of(server)["zones"]
    assert len(moved["polygon"]) == 4 and max(x for x, _ in moved["polygon"]) == 1.0
    assert moved["polygon"][1][0] - moved["polygon"][0][0] == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 400, "height": 800}, "has_touch": True, "is_mobile": True}], indirect=True
)
def test_zones_are_drawn_with_a_finger_on_a_phone(page, server):
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 400
    x, y = corner(page, 0)
    client = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 20, "y": y + 10}]),
        ("touchMove", [{"x": x + 40, "y": y + 20}]),
        ("touchEnd", []),
    ):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    box = page.locator(".stage.zones").bounding_box()
    save(page)
    (zone,) = settings_of(server)["zones"]
    assert zone["polygon"][0] == pytest.approx([0.1 + 40 / box["width"], 0.2 + 20 / box["height"]], abs=0.01)
    assert zone["polygon"][1:] == GATE["polygon"][1:]


@pytest.mark.parametrize("page", [{"viewport": {"width": 1200, "height": 1000}, "color_scheme": "dark"}], indirect=True)
def test_all_of_it_goes_with_keys_alone_and_in_the_dark(page, server):
    def focused():
        return page.evaluate(
            "() => { let one = document.activeElement;"
            " while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;"
            " return one?.getAttribute('aria-label') ?? one?.id ?? one?.textContent; }"
        )

    def to(words):
        for _ in range(40):
            if words in (focused() or ""):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{words!r} is not reached; last was {focused()!r}")

    paper = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert max(int(part) for part in paper[4:-1].split(",")[:3]) < 60, paper
    page.locator(".front select").focus()
    to("rule-open_at")
    page.keyboard.press("ArrowUp")
    to("corner 1 of 4 of gate")
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown", "+", "ArrowUp"):
        page.keyboard.press(key)
    assert focused().startswith("corner 2 of 5")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Delete")
    to("name of zone 1")
    page.keyboard.press("End")
    page.keyboard.type(" & more")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # a new one
    assert focused().startswith("corner 1 of 4 of zone 2"), focused()
    to("remove zone 2")
    page.keyboard.press("Enter")
    assert page.locator(".zonerow").count() == 1
    for _ in range(6):
        if page.get_by_role("button", name="Save").evaluate("one => one.getRootNode().activeElement === one"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Saved: what scores goes by it").wait_for()
    told = settings_of(server)
    assert told["rules"]["open_at"] == 0.51
    (zone,) = told["zones"]
    assert zone == {"name": "gate <b> & more", "polygon": [[0.12, 0.25], [0.31, 0.215], [0.5, 0.2], [0.5, 0.8]]}


def test_whom_it_does_not_concern_does_not_see_it(page, server):
    asked = {"name": "rita", "password": "a long password", "role": "reviewer", "cameras": None}
    assert server.admin.post("/api/users", json=asked).status_code == 201
    log_in(page, "rita", "a long password")
    page.get_by_text("Review").first.wait_for()
    assert page.get_by_role("link", name="Rules").count() == 0
    client = server.client("rita", "a long password")
    assert client.patch("/api/cameras/door/settings", json={"rules": {"open_at": 0.9}}).status_code == 403
    client.close()
