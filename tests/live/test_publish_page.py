"""The pages in a real browser. Its camera is a film whose pictures carry their number, read again where they are watched."""

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from chromium import chromium, needs_chromium
from lossy_way import through_a_lossy_way, without_candidates
from web_server import CAMERAS, Server

pytestmark = needs_chromium

CELLS = 12
WIDTH, HEIGHT, PICTURES = 640, 360, 250
FLAGS = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    film = tmp_path_factory.mktemp("film") / "strip.y4m"
    with film.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C420\n".encode())
        grey = bytes([128]) * (WIDTH * HEIGHT // 2)
        for number in range(1, PICTURES + 1):
            check = number.bit_count() & 1
            bits = [number >> bit & 1 for bit in range(CELLS - 2)] + [check, 1 - check]
            row = np.repeat(np.array(bits, np.uint8) * 180 + 30, WIDTH // CELLS)
            row = np.pad(row, (0, WIDTH - row.size), mode="edge")
            file.write(b"FRAME\n" + np.tile(row, (HEIGHT, 1)).tobytes() + grey)
    with chromium(*FLAGS, f"--use-file-for-fake-video-capture={film}") as started:
        yield started


def number_on(rgb: np.ndarray) -> int | None:
    """The number on a picture; None where the check bits do not fit."""
    width = rgb.shape[1] * (WIDTH // CELLS * CELLS) // WIDTH
    cell = width / CELLS
    levels = [rgb[:, int(at * cell + cell / 4) : int(at * cell + cell * 3 / 4), :3].mean() for at in range(CELLS)]
    bits = [int(level > 120) for level in levels]
    number = sum(bit << at for at, bit in enumerate(bits[: CELLS - 2]))
    return number if bits[-2] == number.bit_count() & 1 and bits[-1] == 1 - bits[-2] else None


def logged_in(browser, server, **options):
    context = browser.new_context(base_url=server.url, **options)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto("/watch")
    page.wait_for_url("**/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(server.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/watch")
    page.problems.clear()  # being told to log in is one
    return page


def is_state(page, state: str, within_s: float = 20.0) -> None:
    page.wait_for_selector(f"#state[data-state={state}]", timeout=within_s * 1000)


def shown_on(page, selector: str) -> np.ndarray:
    """What an element shows (H, W, 4)."""
    got = page.evaluate(
        """(selector) => { const from = document.querySelector(selector), canvas = document.createElement("canvas");
        canvas.width = from.videoWidth || from.naturalWidth; canvas.height = from.videoHeight || from.naturalHeight;
        if (!canvas.width) return [0, 0, []];
        const pen = canvas.getContext("2d"); pen.drawImage(from, 0, 0);
        const row = pen.getImageData(0, canvas.height >> 1, canvas.width, 1).data;
        return [1, canvas.width, Array.from(row)]; }""",
        selector,
    )
    return np.array(got[2], np.uint8).reshape(got[0], got[1], 4) if got[0] else np.zeros((1, 0, 4), np.uint8)


def numbers_seen(page, selector: str, count: int, within_s: float = 20.0) -> list[int]:
    """Numbers on the pictures an element shows, as they change."""
    seen: list[int] = []
    until = time.monotonic() + within_s
    while len(seen) < count and time.monotonic() < until:
        rgb = shown_on(page, selector)
        number = number_on(rgb) if rgb.size else None
        if number is not None and (not seen or number != seen[-1]):
            seen.append(number)
        page.wait_for_timeout(60)
    assert len(seen) >= count, seen
    return seen


def onward(numbers: list[int]) -> bool:
    """They grow, the film's loop aside."""
    steps = [(b - a) % PICTURES for a, b in zip(numbers, numbers[1:], strict=False)]
    return all(0 < step < PICTURES // 2 for step in steps)


def inbound(server: Server) -> list[dict]:
    return [one for one in server.admin.get("/api/connections").json() if one["way"] == "in"]


def gone(server: Server, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while server.admin.get("/api/connections").json():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def publishing(browser, server):
    """A page that sends as `door`."""
    page = logged_in(browser, server, viewport={"width": 400, "height": 800})
    page.goto("/publish")
    page.wait_for_selector("#button:enabled")
    page.get_by_label("Send as").select_option("door")
    page.get_by_label("Resolution").select_option("640x360")
    page.get_by_role("button", name="Send").click()
    is_state(page, "sending")
    yield page
    page.goto("about:blank")
    page.context.close()
    assert gone(server, 15)


def test_a_browser_publishes_and_another_watches(browser, server, publishing):
    """Numbers on the pictures arrive in order, at the server and in the other browser; both DELETE as they leave."""
    assert "640 × 360" in publishing.text_content("#state")
    (there,) = inbound(server)
    assert there["camera"] == "door" and there["state"] == "connected"
    seen = []
    for _ in range(40):
        picture = server.admin.get("/api/cameras/door/snapshot.jpg")
        number = number_on(np.asarray(Image.open(io.BytesIO(picture.content))))
        if number is not None and number not in seen[-1:]:
            seen.append(number)
        if len(seen) == 5:
            break
        time.sleep(0.1)
    assert len(seen) == 5 and onward(seen)
    watching = logged_in(browser, server)
    is_state(watching, "live")
    assert onward(numbers_seen(watching, "#picture video", 8))
    assert watching.problems == publishing.problems == []
    watching.goto("about:blank")
    publishing.goto("about:blank")
    assert gone(server, 3), "DELETE when the page is left; else it would take 30 s"
    watching.context.close()


LOOK = """(count) => { const video = document.querySelector("#picture video"), canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    [canvas.width, canvas.height] = [video.videoWidth, 1];
    return new Promise((done) => { const seen = []; const look = async () => {
        pen.drawImage(video, 0, -(video.videoHeight >> 1));
        const row = pen.getImageData(0, 0, canvas.width, 1).data.filter((_, at) => at % 4 === 1);
        let keys = 0;
        for (const one of (await window.made.at(-1).getStats()).values())
            if (one.type === "inbound-rtp") keys = one.keyFramesDecoded;
        seen.push([keys, Array.from(row)]);
        seen.length < count ? setTimeout(look, 40) : done(seen); }; look(); }); }"""
REMEMBER = """window.made = []; const Real = RTCPeerConnection;
    window.RTCPeerConnection = class extends Real { constructor(...all) { super(...all); window.made.push(this); } };"""


def looked(page, count: int) -> list[tuple[int, int | None]]:
    """(key pictures decoded so far, number on the picture), `count` times, 25 a second at most. The number is None where the
    picture as a whole is not the one of that number: one cell's middle may be right where the rest is not."""
    seen = []
    for keys, row in page.evaluate(LOOK, count):
        number = number_on(np.repeat(np.array(row, np.uint8)[None, :, None], 3, 2))
        if number is not None:
            cells = len(row) * (WIDTH // CELLS * CELLS) / WIDTH  # the browser may send a smaller picture
            bits = [number >> at & 1 for at in range(CELLS - 2)] + [number.bit_count() & 1, 1 - (number.bit_count() & 1)]
            wanted = np.array(bits)[np.minimum(np.arange(len(row)) * CELLS / cells, CELLS - 1).astype(int)] > 0
            off = np.where(wanted, np.maximum(0, 180 - np.array(row)), np.maximum(0, np.array(row) - 60)).mean()
            number = number if off < 8 else None
        seen.append((keys, number))
    return seen


def test_after_losses_the_picture_is_right_within_two_key_pictures(browser, server):
    """Row 2 with a browser at both ends, 5 % lost and 1 in 500 spoiled on each of the four ways."""
    ways, pages = [], []

    def lossy(route):
        if route.request.method != "POST":
            return route.continue_()
        answer = route.fetch(post_data=without_candidates(route.request.post_data))
        way, text = through_a_lossy_way(answer.text(), seed=len(ways))
        ways.append(way)
        return route.fulfill(response=answer, body=text)

    for address, end in (("/publish", "whip"), ("/watch?camera=door", "whep")):
        page = logged_in(browser, server)
        pages.append(page)
        page.add_init_script(REMEMBER)
        page.route(f"**/{end}/door", lossy)
        page.goto(address)
        if end == "whip":
            page.wait_for_selector("#button:enabled")
            page.get_by_label("Send as").select_option("door")
            page.get_by_role("button", name="Send").click()
        is_state(page, "sending" if end == "whip" else "live")
    watching = pages[1]
    assert len(ways) == 2 and len({number for _, number in looked(watching, 20)}) > 5
    for way in ways:
        way.loss, way.spoiled = 0.05, 0.002
    through = looked(watching, 40)
    while min(way.lost for way in ways) <= 5 and len(through) < 1000:
        through += looked(watching, 20)
    for way in ways:
        way.loss = way.spoiled = 0.0
    after = looked(watching, 60)
    right = [at for at in range(1, len(after)) if after[at][1] not in (None, after[at - 1][1], through[-1][1])]
    assert after[right[0]][0] - through[-1][0] <= 2, "key pictures until it is right and moves"
    assert all(number is not None for _, number in after[right[0] :])
    assert onward([after[at][1] for at in right]) and len(right) > 15
    assert all(way.lost > 5 for way in ways) and len(ways) == 2, "nothing was connected anew meanwhile"
    for page in pages:
        page.context.close()
    assert gone(server, 40)
    for way in ways:
        way.stop()


def test_the_page_on_a_phone(browser, server, tmp_path):
    """At 400 px nothing is cut off, in light and dark; each control has a name; stop frees the camera."""
    for scheme in ("light", "dark"):
        page = logged_in(browser, server, viewport={"width": 400, "height": 800}, color_scheme=scheme)
        page.goto("/publish")
        page.wait_for_selector("#button:enabled")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        light = page.evaluate("getComputedStyle(document.body).backgroundColor").startswith("rgb(247")
        assert light == (scheme == "light")
        controls = "[...document.querySelectorAll('select,button,input')]"
        assert page.evaluate(f"{controls}.filter(e => !e.labels?.length && !e.textContent.trim()).length") == 0
        assert page.locator("#camera option").all_text_contents() == CAMERAS  # as text, whatever they hold
        page.get_by_role("button", name="Send").click()
        is_state(page, "sending")
        shots = os.environ.get("AADC_SHOTS")
        if shots:
            page.screenshot(path=f"{shots}/publish-{scheme}.png")
        page.get_by_role("button", name="Stop").click()
        is_state(page, "idle")
        assert gone(server, 3) and page.evaluate("document.getElementById('preview').srcObject") is None
        page.context.close()


def test_a_link_with_a_token_publishes_without_a_login(browser, server):
    """The token stays in the fragment: no request's address has it. Taken back, it ends what it began, and the page says so."""
    token = server.token("publish")
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/publish#camera=door&token={token}")
    page.get_by_role("button", name="Send").click()
    is_state(page, "sending")
    assert not any(token in url.partition("#")[0] for url in asked)
    number = server.admin.get("/api/tokens").json()[0]["id"]
    assert server.admin.delete(f"/api/tokens/{number}").status_code == 200
    assert gone(server, 10)
    is_state(page, "error", 30)
    page.get_by_text("token does not hold").wait_for(timeout=20_000)
    context.close()


@pytest.mark.parametrize(
    "spoil",
    [
        "delete window.RTCPeerConnection",
        """const set = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
          return set.call(this, { type: answer.type, sdp: answer.sdp.replace(/ice-pwd:..../g, "ice-pwd:none") });
        };""",
    ],
    ids=["no WebRTC", "no way through"],
)
def test_where_webrtc_does_not_pass_pictures_come_over_http(browser, server, publishing, spoil):
    """Row 17: by itself, after 5 s at the most."""
    page = logged_in(browser, server)
    page.add_init_script(spoil)
    begun = time.monotonic()
    page.goto("/watch?camera=door")
    is_state(page, "pictures", 15)
    assert onward(numbers_seen(page, "#picture img", 5))
    assert time.monotonic() - begun < 25
    page.context.close()


def test_a_viewer_is_told_that_they_may_not_publish(browser, server):
    ann = {"name": "ann", "role": "viewer", "password": "long enough 1", "cameras": ["door"]}
    server.admin.post("/api/users", json=ann)
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("wrong one")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").get_by_text("Name or password is wrong.", exact=True).wait_for()
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("long enough 1")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/watch")
    page.wait_for_selector("#camera option", state="attached")
    assert page.locator("#camera option").all_text_contents() == ["door"]
    page.goto("/publish")
    is_state(page, "error")
    assert page.locator("#button").is_disabled()
    context.close()
