"""Who gets what from the server: every route, role and method, from the router itself; and what hostile requests get."""

import json
import socket
import sqlite3
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parent))

from web_server import CAMERAS, MadeEvents

from aadc.live import event_api, tls, whep
from aadc.live.access import Access, Role, Use, csrf_token
from aadc.live.guard import Needs, route
from aadc.live.served import FixedCameras
from aadc.live.server import ServerSettings, create_app, serve
from aadc.live.settings import FileCamera, FileSettings, Settings
from aadc.manifests.errors import UserError

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PASSWORD = "correct horse battery"

# Written by hand, on purpose: the least role a person needs, or the use a token needs; "all" for anybody.
MAY = {
    ("/", "GET"): "all",
    ("/publish", "GET"): "all",
    ("/watch", "GET"): "all",
    ("/pages/{name}", "GET"): "all",
    ("/health", "GET"): "all",
    ("/login", "GET"): "all",
    ("/login", "POST"): "all",
    ("/logout", "POST"): "viewer",
    ("/api/me", "GET"): "viewer",
    ("/api/me/password", "POST"): "viewer",
    ("/api/users", "GET"): "administrator",
    ("/api/users", "POST"): "administrator",
    ("/api/users/{user}", "PATCH"): "administrator",
    ("/api/users/{user}", "DELETE"): "administrator",
    ("/api/sessions", "GET"): "administrator",
    ("/api/sessions/{session:int}", "DELETE"): "administrator",
    ("/api/tokens", "GET"): "administrator",
    ("/api/tokens", "POST"): "administrator",
    ("/api/tokens/{token:int}", "DELETE"): "administrator",
    ("/api/log", "GET"): "administrator",
    ("/api/cameras", "GET"): "viewer",
    ("/api/cameras/{camera}/recent", "GET"): "viewer",
    ("/api/cameras/{camera}/snapshot.jpg", "GET"): "viewer or watch",
    ("/api/cameras/{camera}/mjpeg", "GET"): "viewer or watch",
    **{("/api/settings", method): "administrator" for method in ("GET", "PATCH", "DELETE")},
    **{("/api/cameras/{camera}/settings", method): "administrator" for method in ("GET", "PATCH", "DELETE")},
    ("/api/connections", "GET"): "administrator",
    ("/api/connections/{peer}", "DELETE"): "administrator",
    ("/metrics", "GET"): "administrator or metrics",
    ("/api/events", "GET"): "viewer",
    ("/api/events/changes", "GET"): "viewer",
    ("/api/events/like", "GET"): "viewer",
    ("/api/export", "POST"): "administrator",
    ("/api/events/{event}", "GET"): "viewer",
    ("/api/events/{event}/decision", "POST"): "reviewer",
    ("/clips/{event}.mp4", "GET"): "viewer",
    ("/clips/{event}.jpg", "GET"): "viewer",
    **{("/whip/{camera}", method): "administrator or publish" for method in ("GET", "PUT", "POST")},
    **{("/whip/{camera}/{peer}", method): "administrator or publish" for method in ("GET", "PUT", "POST", "PATCH", "DELETE")},
    **{("/whep/{camera}", method): "viewer or watch" for method in ("GET", "PUT", "POST")},
    **{("/whep/{camera}/{peer}", method): "viewer or watch" for method in ("GET", "PUT", "POST", "PATCH", "DELETE")},
    **{(f"/{way}/{{camera}}{rest}", "OPTIONS"): "all" for way in ("whip", "whep") for rest in ("", "/{peer}")},
}
MAY.update({(path, "HEAD"): who for (path, method), who in list(MAY.items()) if method == "GET"})
OF_A_CAMERA = ("{camera}", "{event}")


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An application with people and tokens: the media process is not started."""
    monkeypatch.setattr("aadc.live.passwords._COST", 2**10)
    monkeypatch.setattr("aadc.live.access.NOBODY", f"{2**10}$8$1${'0' * 32}${'0' * 64}")
    monkeypatch.setattr(event_api, "MOST_FOLLOWERS", 0)  # streams have no end: who is let in is told to come back
    monkeypatch.setattr(whep, "MOST_MJPEG", 0)
    access = Access(tmp_path / "access.sqlite")
    for role in Role:
        access.add_user(role.value, role, PASSWORD)
    access.add_user("narrow", Role.VIEWER, PASSWORD, [CAMERAS[1]])
    house = House(access, MadeEvents(tmp_path / "clips"), tmp_path)
    yield house
    access.close()


class House:
    """The application, and requests to it from one and another."""

    def __init__(self, access: Access, events: MadeEvents, folder: Path) -> None:
        self.access = access
        file = FileSettings(cameras=dict.fromkeys(CAMERAS, FileCamera()))
        self.rules = Settings(folder, file)
        self.app = create_app(ServerSettings(folder), access, FixedCameras(CAMERAS), events, rules=self.rules)
        self.http = TestClient(self.app, "http://127.0.0.1:8765", follow_redirects=False, client=("10.9.8.7", 4000))

    def session(self, name: str) -> dict[str, str]:
        secret = self.access.log_in(name, PASSWORD, "10.0.0.1")
        return {"Cookie": f"aadc={secret}", "X-CSRF-Token": csrf_token(secret), "Origin": "http://127.0.0.1:8765"}

    def token(self, use: Use, camera: str = "door") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access.add_token(use, camera, '', 'test')[1]}"}

    def ask(self, method: str, path: str, headers: dict[str, str], **more):
        return self.http.request(method, path, headers=headers, **more)


def path_for(path: str, camera: str, event: str = "e0") -> str:
    filled = {"{camera}": quote(camera), "{event}": event, "{peer}": "none", "{user}": "none", "{name}": "watch.js"}
    for word, value in {**filled, "{session:int}": "999", "{token:int}": "999"}.items():
        path = path.replace(word, value)
    return path


def test_every_route_is_in_the_table(house):
    routes = {(route.path, method) for route in house.app.routes for method in route.methods}
    assert all(isinstance(route, Route) for route in house.app.routes)
    assert routes == set(MAY)


def test_a_route_that_says_nothing_cannot_be_made():
    async def page(request):
        return None

    with pytest.raises(TypeError):
        route("/open", page)


def test_every_route_by_every_role_and_method(house):
    """401 for nobody, 403 for who may not, 405 where there is no such method; never more."""
    people = order = [role.value for role in Role]
    ended = house.session("administrator")
    house.access.end_session(house.access.sessions()[0].id)
    shown = {"nobody": {}, "liar": {"Authorization": "Bearer aadc_nothing", "Cookie": "aadc=nothing"}, "ended": ended}
    shown.update({use.value: house.token(use) for use in Use})
    wrong = []
    checked = 0
    for one in {there.path for there in house.app.routes}:
        for method in METHODS:
            if method == "GET" or one == "/logout":
                shown.update({name: house.session(name) for name in people})
            needed = MAY.get((one, method))
            for name in shown if needed else ("nobody", "administrator"):
                headers = shown[name]
                status = house.ask(method, path_for(one, "door"), headers).status_code
                if needed is None:
                    expected = {405}
                elif needed == "all":
                    expected = None
                elif name in ("nobody", "liar", "ended"):
                    expected = {401}
                elif name in people:
                    least = needed.split()[0]
                    expected = None if order.index(name) >= order.index(least) else {403}
                else:
                    expected = None if needed.endswith(f"or {name}") else {403}
                if expected is None:
                    fine = status not in (401, 403) or (one == "/login" and method == "POST")
                    fine = fine and not (status == 405 and "{peer}" not in one)
                else:
                    fine = status in expected
                checked += 1
                if not fine:
                    wrong.append((name, method, one, needed, status))
    assert not wrong
    assert checked > 700


def test_a_camera_one_may_not_see_is_not_there(house):
    """People and tokens of another camera get the answer that a camera without existence gets, on each of its routes."""
    for (path, method), needed in MAY.items():
        if not any(word in path for word in OF_A_CAMERA) or method == "OPTIONS":
            continue
        headers = house.session("narrow")
        house.access.change_user("narrow", Role.ADMINISTRATOR, [CAMERAS[1]])
        unseen = house.ask(method, path_for(path, "door"), headers)
        absent = house.ask(method, path_for(path, "none", "none"), headers)
        assert unseen.status_code == absent.status_code == 404, (path, method)
        assert unseen.content == absent.content
        if "{peer}" not in path and method != "POST":
            more = {"json": {}} if method == "PATCH" else {}
            assert house.ask(method, path_for(path, CAMERAS[1], "e1"), headers, **more).status_code in (200, 204, 404, 503)
        if " or " in needed:
            other = house.token(Use(needed.split()[-1]), CAMERAS[1])
            assert house.ask(method, path_for(path, "door"), other).status_code == 404


def test_lists_hold_only_what_one_may_see(house):
    narrow, wide = house.session("narrow"), house.session("viewer")
    assert [one["name"] for one in house.ask("GET", "/api/cameras", narrow).json()] == [CAMERAS[1]]
    assert [one["name"] for one in house.ask("GET", "/api/cameras", wide).json()] == CAMERAS
    assert [one["id"] for one in house.ask("GET", "/api/events", narrow).json()] == ["e1"]
    assert [one["id"] for one in house.ask("GET", "/api/events?camera=door", narrow).json()] == []
    assert [one["id"] for one in house.ask("GET", "/api/events?camera=door", wide).json()] == ["e2", "e0"]
    for who, camera, ids in ((narrow, "", ["e1"]), (narrow, "&camera=door", []), (wide, "&camera=door", ["e2", "e0"])):
        found = house.ask("GET", f"/api/events/like?words=a{camera}", who).json()
        assert [one["id"] for one in found["events"]] == ids


CHANGES = [(path, method) for (path, method), who in MAY.items() if method not in ("GET", "HEAD", "OPTIONS") and who != "all"]


@pytest.mark.parametrize("path,method", CHANGES)
def test_a_change_comes_from_our_own_pages(house, path, method):
    """With the cookie alone, with another session's token, from another site, from none that is named: refused."""
    url = path_for(path, "door")
    good = house.session("administrator")
    other = house.session("administrator")["X-CSRF-Token"]
    for spoiled in (
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": other},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8765.evil.example"},
        {"Origin": "http://127.0.0.1"},
    ):
        assert house.ask(method, url, {**good, **spoiled}).status_code == 403, spoiled
    without = {key: value for key, value in good.items() if key != "Origin"}
    assert house.ask(method, url, {**without, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert house.ask(method, url, {**without, "Sec-Fetch-Site": "same-site"}).status_code == 403
    assert house.ask(method, url, good).status_code != 403


def test_login_from_another_site_is_refused(house):
    words = {"name": "viewer", "password": PASSWORD}
    assert house.http.post("/login", data=words, headers={"Origin": "https://evil.example"}).status_code == 403
    answer = house.http.post("/login", data=words, headers={"Origin": "http://127.0.0.1:8765"})
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie


def test_a_secure_servers_cookie_goes_over_tls_alone(house, tmp_path):
    app = create_app(ServerSettings(tmp_path, behind_proxy=True), house.access, FixedCameras(CAMERAS))
    http = TestClient(app, "https://cameras.example", follow_redirects=False)
    answer = http.post("/login", data={"name": "viewer", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-aadc=") and "Secure" in cookie and "Domain" not in cookie
    assert answer.headers["strict-transport-security"]


def test_a_new_login_ends_the_session_before_it(house):
    old = house.session("viewer")
    fresh = house.http.post("/login", data={"name": "viewer", "password": PASSWORD}, headers={"Cookie": old["Cookie"]})
    assert fresh.status_code == 303 and house.ask("GET", "/api/me", old).status_code == 401


def test_wrong_logins_are_slowed_and_written_down(house):
    statuses = [house.http.post("/login", data={"name": "viewer", "password": "no"}).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    refused = house.http.post("/login", data={"name": "viewer", "password": PASSWORD})
    assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 300
    written = [entry for entry in house.access.log() if entry.what == "login refused"]
    assert len(written) == 5 and {entry.address for entry in written} == {"10.9.8.7"}


def test_a_forwarded_address_is_believed_of_a_proxy_alone(house):
    for number in range(5):
        house.http.post("/login", data={"name": "viewer", "password": "no"}, headers={"X-Forwarded-For": f"10.0.0.{number}"})
    assert (
        house.http.post(
            "/login", data={"name": "viewer", "password": "no"}, headers={"X-Forwarded-For": "10.0.1.1"}
        ).status_code
        == 429
    )


def test_what_is_done_is_in_the_log(house):
    viewer, reviewer = house.session("viewer"), house.session("reviewer")
    house.ask("GET", "/api/events/e0", viewer)
    house.ask("GET", "/clips/e0.mp4", viewer)
    house.ask("GET", "/clips/e0.mp4", {**viewer, "Range": "bytes=100-"})  # the same play
    house.ask("POST", "/api/events/e0/decision", reviewer, json={"decision": "confirmed"})
    house.ask("POST", "/logout", viewer)
    done = [(entry.who, entry.what, entry.camera, entry.subject) for entry in reversed(house.access.log())]
    assert done[2:] == [
        ("viewer", "view", "door", "e0"),
        ("viewer", "play", "door", "e0"),
        ("reviewer", "decided: confirmed", "door", "e0"),
        ("viewer", "logout", "", ""),
    ]


def test_changed_settings_are_in_the_log_with_old_and_new(house):
    """Who, when, from where, which camera, which value, from what to what; what was refused is not there."""
    admin = house.session("administrator")
    there = f"/api/cameras/{quote(CAMERAS[1])}/settings"
    zone = {"name": "gate <b>", "polygon": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.6]]}
    first = house.ask("GET", there, admin)
    assert first.json()["rules"]["open_at"] == 0.5 and first.json()["changed"] == {}
    changed = house.ask(
        "PATCH", there, {**admin, "If-Match": first.headers["etag"]}, json={"rules": {"open_at": 0.8}, "zones": [zone]}
    )
    assert changed.status_code == 200 and changed.json()["changed"]["open_at"]["who"] == "administrator"
    assert house.rules.in_force(CAMERAS[1]).rules.open_at == 0.8 and house.rules.in_force("door").rules.open_at == 0.5
    late = house.ask("PATCH", there, {**admin, "If-Match": first.headers["etag"]}, json={"rules": {"open_at": 0.9}})
    wrong = house.ask(
        "PATCH", there, admin, json={"rules": {"open_at": 3, "close_at": "x"}, "zones": [zone, zone], "blackouts": 1}
    )
    assert late.status_code == 412 and wrong.status_code == 422
    assert all(word in wrong.json()["title"] for word in ("open_at", "close_at", "two zones", "blackouts"))
    assert house.ask("PATCH", "/api/settings", admin, json={"rules": {"cool_down_s": 9}}).json()["rules"]["cool_down_s"] == 9
    assert house.ask("DELETE", there, admin).json()["changed"] == {}
    assert house.rules.in_force(CAMERAS[1]).rules.cool_down_s == 9
    done = [entry for entry in reversed(house.access.log()) if entry.what.startswith("changed")]
    assert {(entry.who, entry.address) for entry in done} == {("administrator", "10.9.8.7")}
    assert [(entry.what, entry.camera, entry.subject) for entry in done] == [
        ("changed: open_at", CAMERAS[1], "0.5 -> 0.8"),
        ("changed: zone gate <b>", CAMERAS[1], "nothing -> 0.1,0.1 0.5,0.1 0.5,0.6"),
        ("changed: cool_down_s", "", "0 -> 9"),
        ("changed: open_at", CAMERAS[1], "0.8 -> 0.5"),
        ("changed: zone gate <b>", CAMERAS[1], "0.1,0.1 0.5,0.1 0.5,0.6 -> nothing"),
    ]
    times = [entry.utc_ns for entry in done]
    assert times == sorted(times)


def test_who_sees_some_cameras_does_not_set_what_holds_for_all(house):
    headers = house.session("narrow")
    house.access.change_user("narrow", Role.ADMINISTRATOR, [CAMERAS[1]])
    for method in ("GET", "PATCH", "DELETE"):
        assert house.ask(method, "/api/settings", headers, json={"rules": {"open_at": 0.9}}).status_code == 404
    assert house.rules.in_force("door").rules.open_at == 0.5


def test_clips_come_in_parts(house):
    viewer = house.session("viewer")
    whole = house.ask("GET", "/clips/e0.mp4", viewer)
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["content-type"] == "video/mp4"
    part = house.ask("GET", "/clips/e0.mp4", {**viewer, "Range": "bytes=1000-1999"})
    assert part.status_code == 206 and part.content == whole.content[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole.content)}"
    assert house.ask("GET", "/clips/e0.mp4", {**viewer, "Range": "bytes=999999-"}).status_code == 416
    assert house.ask("GET", "/clips/e0.jpg", viewer).status_code == 404


@pytest.mark.parametrize("path", ["/clips/../access.sqlite.mp4", "/clips/%2e%2e%2faccess.sqlite.mp4", "/pages/../server.py",
                                  "/pages/%2e%2e%2fserver.py", "/pages/login.html", "/pages/", "/clips/\x00.mp4"])  # fmt: skip
def test_no_file_but_those_that_are_meant(house, path):
    assert house.ask("GET", quote(path, safe="/%"), house.session("administrator")).status_code == 404


def test_every_answer_is_shielded(house):
    for path in ("/login", "/watch", "/pages/watch.js", "/health", "/api/me", "/none", "/api/events"):
        headers = house.ask("GET", path, house.session("viewer")).headers
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_large_bodies_are_not_read(house):
    admin = house.session("administrator")
    assert house.ask("POST", "/api/users", admin, content=b"x" * 70_000).status_code == 413
    parts = (b"x" * 10_000 for _ in range(1000))  # without a length
    assert house.ask("POST", "/api/users", {**admin, "Content-Type": "application/json"}, content=parts).status_code == 413
    assert house.ask("POST", "/login", {"Content-Length": "-1"}).status_code == 413


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud800", "x" * 300, "viewer"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "name",
    "role",
    "password",
    "cameras",
    "use",
    "camera",
    "label",
    "decision",
    "category",
    "old",
    "new",
    "rules",
    "zones",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=ANYTHING | st.dictionaries(st.sampled_from(FIELDS), ANYTHING), place=st.sampled_from(CHANGES))
def test_any_json_is_answered(house, body, place):
    path, method = place
    if path in ("/logout",):
        return
    content = json.dumps(body).encode(errors="replace")
    headers = {**house.session("administrator"), "Content-Type": "application/json"}
    answer = house.ask(method, path_for(path, "door"), headers, content=content)
    assert answer.status_code < 500 or answer.status_code == 503, (path, body, answer.text)


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 60_000, b"\xff\xfe", b"null", b'"x"', b'{"role": NaN}'])
def test_what_is_no_object_is_refused(house, content):
    answer = house.ask(
        "POST", "/api/users", {**house.session("administrator"), "Content-Type": "application/json"}, content=content
    )
    assert answer.status_code == 400


def test_decisions_are_known_words(house):
    reviewer = house.session("reviewer")
    for body in ({"decision": "maybe"}, {"decision": "renamed"}, {"decision": "confirmed", "category": "fall"}, {}):
        assert house.ask("POST", "/api/events/e0/decision", reviewer, json=body).status_code == 400
    answer = house.ask("POST", "/api/events/e0/decision", reviewer, json={"decision": "renamed", "category": "<b>"})
    assert answer.json()["by"] == "reviewer"
    asked = {"decision": "renamed", "category": "fall", "new": "yes"}
    assert house.ask("POST", "/api/events/e0/decision", reviewer, json=asked).status_code == 400


def test_numbers_in_addresses_are_numbers(house):
    admin = house.session("administrator")
    for query in (
        "/api/log?before=x",
        "/api/log?before=²",
        "/api/log?before=-1",
        "/api/log?before=99999999999999999999",
        "/api/events?limit=1e9",
        "/api/events?limit=٣",
    ):
        assert house.ask("GET", query, admin).status_code == 400


def test_the_login_page_shows_words_as_text(house):
    answer = house.http.post("/login", data={"name": "<script>", "password": "x"})
    assert answer.status_code == 401 and "<script>" not in answer.text and "wrong" in answer.text


def test_metrics_are_prometheuss(house):
    from prometheus_client.parser import text_string_to_metric_families

    text = house.ask("GET", "/metrics", house.token(Use.METRICS)).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    states = {(s.labels["camera"], s.labels["state"]): s.value for s in families["aadc_camera_state"].samples}
    assert states["door", "connecting"] == 1 and sum(states.values()) == len(CAMERAS)


def test_pages_load_nothing_from_elsewhere():
    pages = Path(event_api.__file__).parent / "pages"
    for path in pages.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, and no address
        assert "http://" not in text and "innerHTML" not in text and "//cdn" not in text, path.name
        if path.suffix == ".html":
            assert " style=" not in text and " onclick=" not in text and "<script>" not in text, path.name


@pytest.mark.parametrize(
    ("named", "origins"),
    [
        ({"host": "0.0.0.0"}, ["https://cameras.example:8765", "https://[fd00::1]:8443"]),
        ({"host": "0.0.0.0", "port": 443}, ["https://cameras.example", "https://[fd00::1]:8443"]),
        ({"port": 80}, ["http://cameras.example", "http://[fd00::1]:8443"]),
        ({"behind_proxy": True}, ["https://cameras.example", "https://[fd00::1]:8443"]),
    ],
)
def test_our_own_pages_are_known_by_the_origin_that_browsers_write(tmp_path, named, origins):
    assert list(ServerSettings(tmp_path, names=("cameras.example", "[fd00::1]:8443"), **named).origins) == origins


def test_the_certificate_is_made_once_and_kept_to_its_owner(tmp_path):
    path, key = tls.certificate(tmp_path, ["192.0.2.1", "cameras.example:8443", "[fd00::1]"])
    assert key.stat().st_mode & 0o077 == 0
    before = path.read_bytes()
    assert tls.certificate(tmp_path, ["192.0.2.1"])[0].read_bytes() == before
    from cryptography import x509

    names = x509.load_pem_x509_certificate(before).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == ["192.0.2.1", "cameras.example", "fd00::1", "localhost"]
    path.write_text("nothing")
    with pytest.raises(UserError, match=r"certificate\.pem: is no certificate"):
        tls.certificate(tmp_path, [])


def test_it_is_not_served_in_clear_nor_where_another_listens(tmp_path):
    assert ServerSettings(tmp_path, host="0.0.0.0").own_tls and not ServerSettings(tmp_path).own_tls
    with pytest.raises(UserError, match="leave TLS on"):
        serve(ServerSettings(tmp_path, host="0.0.0.0", tls=False), FixedCameras([]))
    with pytest.raises(UserError, match="listens on loopback"):
        serve(ServerSettings(tmp_path, host="0.0.0.0", behind_proxy=True), FixedCameras([]))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1, port {port} \(Address already in use\)"):
            serve(ServerSettings(tmp_path, port=port), FixedCameras([]))
        assert not (tmp_path / "access.sqlite").exists()  # and no password was shown
    assert ServerSettings(tmp_path).media().addresses == ["127.0.0.1"]
    assert ServerSettings(tmp_path, host="0.0.0.0").media().addresses == []


def test_the_front_is_behind_the_same_door(house, tmp_path):
    """Pages and WebSockets alike; and it is told who looks, by nobody but the server."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocketDisconnect

    async def page(request):
        return JSONResponse([request.headers.getlist("x-aadc-user"), request.headers.get("x-aadc-role")])

    async def stream(socket):
        await socket.accept()
        await socket.send_text(socket.headers["x-aadc-user"])
        await socket.close()

    class Shown(Starlette):
        def lifespan(self):
            return self.router.lifespan_context

    def front(house):
        return Shown(routes=[Route("/", page), WebSocketRoute("/stream", stream)])

    app = create_app(ServerSettings(tmp_path), house.access, FixedCameras(CAMERAS), MadeEvents(tmp_path), front)
    http = TestClient(app, "http://127.0.0.1:8765", follow_redirects=False)
    viewer = house.session("viewer")
    assert http.get("/ui/").headers["location"] == "/login"
    assert "connect-src 'self'" in http.get("/ui/", headers=viewer).headers["content-security-policy"]
    assert http.get("/ui/", headers=house.token(Use.WATCH)).status_code == 303  # a device has no business there
    assert http.get("/ui/", headers={**viewer, "X-AADC-User": "admin", "x-aadc-role": "administrator"}).json() == [
        ["viewer"],
        "viewer",
    ]
    with http.websocket_connect("ws://127.0.0.1:8765/ui/stream", headers=viewer) as socket:
        assert socket.receive_text() == "viewer"
    for headers in ({}, {**viewer, "Origin": "https://evil.example"}):
        with pytest.raises(WebSocketDisconnect), http.websocket_connect("ws://127.0.0.1:8765/ui/stream", headers=headers):
            pass


def test_who_takes_nothing_is_given_up(tmp_path, monkeypatch):
    """A place among those who look, and what is queued for it, is not kept for ever."""
    import socket
    import time

    from aadc.live import server

    monkeypatch.setattr(server, "_TAKES_WITHIN_S", 1)
    with server._listen("127.0.0.1", 0) as listening, socket.socket() as reader:
        listening.listen()
        reader.connect(listening.getsockname())
        ours, _ = listening.accept()
        ours.setblocking(False)
        until = time.monotonic() + 30
        with ours, pytest.raises((TimeoutError, ConnectionResetError)):
            while time.monotonic() < until:  # the other end reads nothing of it
                try:
                    ours.send(b"x" * 2**16)
                except BlockingIOError:
                    time.sleep(0.05)


def test_nothing_is_sent_to_the_dashboard(house, tmp_path):
    """Streamlit would keep what people upload, 200 MB a file, in memory."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    taken = []

    async def take(request):
        taken.append(await request.body())
        return JSONResponse({})

    class Shown(Starlette):
        def lifespan(self):
            return self.router.lifespan_context

    def front(house):
        return Shown(routes=[Route("/file", take, methods=["PUT", "POST", "DELETE", "GET"])])

    app = create_app(ServerSettings(tmp_path), house.access, FixedCameras(CAMERAS), MadeEvents(tmp_path), front)
    http = TestClient(app, "http://127.0.0.1:8765", follow_redirects=False)
    administrator = house.session("administrator")
    for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert http.request(method, "/ui/file", headers=administrator, content=b"x").status_code == 405
    assert not taken and http.get("/ui/file", headers=administrator).status_code == 200


def test_a_change_of_rights_changes_what_it_names_and_nothing_else(house):
    admin = house.session("administrator")

    def narrow():
        return next(one for one in house.ask("GET", "/api/users", admin).json() if one["name"] == "narrow")

    def changed(**asked):
        return house.ask("PATCH", "/api/users/narrow", admin, json=asked).status_code

    assert changed(role="reviewer") == 200  # and not of every camera, since none was named
    assert narrow() == {"name": "narrow", "role": "reviewer", "cameras": [CAMERAS[1]]}
    assert changed(cameras=["door"]) == 200
    assert narrow() == {"name": "narrow", "role": "reviewer", "cameras": ["door"]}
    for slip in ({}, {"roles": "viewer"}, {"role": "viewer", "camera": []}, {"role": None}, {"cameras": "door"}):
        assert changed(**slip) == 400
    assert changed(role="god", password="another password", cameras=None) == 400
    assert changed(role="viewer", password="short", cameras=None) == 422
    assert narrow() == {"name": "narrow", "role": "reviewer", "cameras": ["door"]}
    assert house.access.log_in("narrow", PASSWORD, "10.0.0.2") and not house.access.log_in("narrow", "another password", "")
    assert changed(cameras=None) == 200 and narrow()["cameras"] is None
    said = [one["subject"] for one in house.ask("GET", "/api/log", admin).json() if one["what"] == "rights changed"]
    assert said == ["narrow (reviewer, every camera)", "narrow (reviewer, door)", f"narrow (reviewer, {CAMERAS[1]})"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/users", {"name": "new", "role": "viewer", "password": "long enough 1", "camera": ["door"]}),
        ("/api/tokens", {"use": "watch", "camera": "door", "until": "tomorrow"}),
        ("/api/events/e0/decision", {"decision": "confirmed", "categories": "fall"}),
        ("/api/export", {"what": "csv", "cameras": ["door"]}),
        ("/api/me/password", {"old": "x", "new": "y", "name": "viewer"}),
    ],
)
def test_a_slip_is_no_wish(house, path, body):
    """A name that is not known may be a limit that would not be set."""
    answer = house.ask("POST", path, house.session("administrator"), json=body)
    assert answer.status_code == 400 and "is not known here; there are" in answer.json()["title"]
    assert not any(user.name == "new" for user in house.access.users())


def test_whoever_may_see_less_is_needed_more():
    assert Needs().nothing and not Needs(Role.VIEWER).nothing and not Needs(use=Use.WATCH).nothing


def test_a_body_that_does_not_come_is_not_waited_for(house, monkeypatch):
    """A connection that says it sends and does not, is answered and closed."""
    import anyio

    from aadc.live import guard

    monkeypatch.setattr(guard, "_BODY_WITHIN_S", 0.2)
    sent = []

    async def receive():
        await anyio.sleep(60)

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"100")]
    scope = {
        "type": "http", "method": "POST", "path": "/login", "raw_path": b"/login", "query_string": b"", "headers": headers,
        "client": ("10.0.0.1", 1), "server": ("127.0.0.1", 8765), "scheme": "http", "root_path": "", "http_version": "1.1",
    }  # fmt: skip

    async def ask():
        with anyio.fail_after(10):
            await house.app(scope, receive, send)

    anyio.run(ask)
    assert sent[0]["status"] == 408


def test_a_list_of_users_that_is_damaged_under_way_is_one_sentence(house, monkeypatch, caplog):
    """For who asks and in the log; nobody is let in meanwhile."""
    viewer = house.session("viewer")

    def damaged(*_):
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(house.access, "session", damaged)
    answer = house.ask("GET", "/api/cameras", viewer)
    assert answer.status_code == 503 and "the list of users cannot be used" in answer.text and "malformed" not in answer.text
    assert "the list of users cannot be used (database disk image is malformed)" in caplog.text
    assert "Traceback" not in caplog.text
