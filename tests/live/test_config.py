"""cameras.toml: everything wrong with it is told at once, and no password is ever shown."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadc.live.blackouts import Blackouts
from aadc.live.config import Camera
from aadc.live.credentials import fill_in, hide_credentials, secrets_of
from aadc.live.read_config import read_config
from aadc.manifests.errors import UserError

SECRET = "hunter2!%2F"


def write(folder, text, mode=0o600):
    path = folder / "cameras.toml"
    path.write_text(text)
    os.chmod(path, mode)
    return path


def test_a_file_with_everything_in_it(tmp_path):
    path = write(
        tmp_path,
        """
        data = "kept"
        [rules]
        open_at = 0.6
        [[camera]]
        name = "front door"
        source = "rtsp://admin:${DOOR}@10.0.0.5:554/main"
        blackouts = [[[0, 0], [0.5, 0], [0.5, 0.5]]]
        [camera.rules]
        open_at = 0.9
        [[camera.zones]]
        name = "gate"
        polygon = [[0, 0], [1, 0], [1, 1]]
        [[camera]]
        name = "recorded"
        source = "one.mp4"
        loop = true
        """,
    )
    read = read_config(path, {"DOOR": SECRET})
    door, recorded = read.config.cameras
    assert door.source.get_secret_value() == f"rtsp://admin:{SECRET}@10.0.0.5:554/main" and door.kind == "url"
    assert door.shown_source == "rtsp://***@10.0.0.5:554/main" and SECRET in read.secrets
    assert recorded.source.get_secret_value() == str(tmp_path / "one.mp4") and recorded.kind == "file"
    assert read.config.rules_of(door).open_at == 0.9 and read.config.rules_of(recorded).open_at == 0.6
    assert read.config.data == tmp_path / "kept"
    assert not read.cautions
    assert SECRET not in repr(read.config) + str(read.config) + read.config.model_dump_json()


def test_all_mistakes_are_told_at_once(tmp_path):
    path = write(
        tmp_path,
        """
        windows = 3
        [[camera]]
        name = "a"
        source = "rtsp://admin:hunter2@/x"
        blackout = [[[0, 0], [1, 0], [1, 1]]]
        [[camera]]
        name = "a"
        source = "concat:/etc/passwd"
        blackouts = [[[0, 0], [2, 0]]]
        [[camera]]
        name = "c"
        source = "rtsp://admin:${NOT_THERE}@host/x"
        enabled = "hunter2"
        clip_url = "rtsp://u:hunter2@host:port/x"
        [camera.rules]
        open_at = 2
        """,
    )
    with pytest.raises(UserError) as error:
        read_config(path, {})
    told = str(error.value)
    for part in (
        "windows: there is no such setting", "camera 1 source: an address without a host", "camera 1 blackout: there is no",
        "camera 2 source: an address that begins with concat:", "camera 2 blackouts 1", "camera 3 enabled", "rules open_at",
        "NOT_THERE is not set", "two cameras are called a",
    ):  # fmt: skip
        assert part in told, f"{part} in {told}"
    assert "admin:hunter2" not in told


@pytest.mark.parametrize(
    "source",
    ["file:///etc/passwd", "subfile:x", "exec:ls", "data:x", "pipe:0", "", "rtsp://h:99999/", "ftp://h/x", "\\u0000"],
)
def test_sources_that_are_none(tmp_path, source):
    with pytest.raises(UserError, match="camera 1 source"):
        read_config(write(tmp_path, f'[[camera]]\nname = "a"\nsource = "{source}"'))


@pytest.mark.parametrize("name", ["a/b", "../x", "a\\u001b", " a", "x#", "a+b"])
def test_names_that_are_none(tmp_path, name):
    with pytest.raises(UserError, match="camera 1 name"):
        read_config(write(tmp_path, f'[[camera]]\nname = "{name}"\nsource = "x.mp4"'))


@pytest.mark.parametrize("name", [".", ".."])
def test_names_that_lead_elsewhere_are_none(tmp_path, name):
    with pytest.raises(UserError, match="camera 1 name: .* leads elsewhere"):
        read_config(write(tmp_path, f'[[camera]]\nname = "{name}"\nsource = "x.mp4"'))


@pytest.mark.parametrize(
    ("polygon", "told"),
    [
        ([[0, 0], [1, 0], [0, 1], [1, 1]], "its lines cross"),  # row by row, not around: two triangles would show
        ([[0.5, 0], [0.8, 1], [0, 0.4], [1, 0.4], [0.2, 1]], "its lines cross"),  # a star, whose middle would show
        ([[0, 0], [0.5, 0.5], [1, 1]], "has no area"),
        ([[0.2, 0.2], [0.2, 0.2], [0.2, 0.2]], "has no area"),
    ],
)
def test_blackouts_that_would_not_hide_what_they_should(tmp_path, polygon, told):
    with pytest.raises(UserError, match=f"camera 1 blackouts 2: {told}"):
        text = f'[[camera]]\nname = "a"\nsource = "x.mp4"\nblackouts = [[[0, 0], [1, 0], [0, 1]], {polygon}]'
        read_config(write(tmp_path, text))


@given(st.integers(3, 40), st.integers(0, 9))
def test_every_polygon_that_goes_around_hides_all_of_it(count, seed):
    """Star-shaped ones, any number of corners: taken, and each point inside is painted."""
    rng = np.random.default_rng(seed)
    angles, radii = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.2, 0.45, count)
    if np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() > 3:  # its middle may lie outside
        return
    corners = [(0.5 + r * np.cos(a), 0.5 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    camera = Camera(name="a", source="x.mp4", blackouts=[corners])
    painted = Blackouts(camera.blackouts).paint(np.full((200, 200, 3), 255, np.uint8))
    for (x, y), share in zip(corners, rng.uniform(0, 0.97, count), strict=True):
        assert not painted[int(200 * (0.5 + share * (y - 0.5))), int(200 * (0.5 + share * (x - 0.5)))].any()


@pytest.mark.parametrize(
    "text",
    [
        '[notices]\nwebhook = "http://"', '[notices]\nwebhook = "http://h:99999/x"',
        '[notices]\nwebhook = "https://h/hunter2 x"',
        '[notices]\nwebhook = "https://h/hünter2"', '[notices]\nmqtt = "mqtt://"', '[notices]\nmqtt = "mqtt://u:hunter2@h:abc"',
        f'[notices]\nmqtt = "mqtt://u:hunter2@{"h" * 64}.example"', '[notices]\nwebhook = "http://a..b/hunter2"',
        '[words]\nurl = "http://h:port/v1"', '[web]\nnames = ["https://cameras.example/"]', '[web]\nnames = ["a b"]',
        '[web]\nnames = ["tür.example"]',
        '[web]\nfar_origins = ["*"]', '[web]\nfar_origins = ["https://site.example/"]', '[web]\nmedia_addresses = ["here"]',
        '[web]\npublic_address = "a b"', '[web]\ncertificate = "c.pem"', '[web]\nkey = "k.pem"',
    ],
)  # fmt: skip
def test_addresses_that_nobody_could_be_reached_at(tmp_path, text):
    """Said at the start, not by the process that finds out, again and again."""
    with pytest.raises(UserError) as error:
        read_config(write(tmp_path, f'{text}\n[[camera]]\nname = "a"\nsource = "x.mp4"'))
    assert "nter2" not in str(error.value) and text.split("]\n")[0].strip("[") in str(error.value)


def test_addresses_as_people_write_them(tmp_path):
    text = """
    [notices]
    webhook = "https://u:p%40x@[::1]:8443/hook?a=b%20c"
    mqtt = "mqtts://broker"
    [web]
    names = ["cameras.example", "cameras.example:8443", "[::1]", "xn--tr-hia.example"]
    far_origins = ["https://site.example", "http://127.0.0.1:8080"]
    media_addresses = ["10.0.0.2", "fd00::1"]
    public_address = "203.0.113.7"
    [[camera]]
    name = "a"
    source = "rtsp://10.0.0.5/a b"
    """
    assert read_config(write(tmp_path, text)).config.web.names[3] == "xn--tr-hia.example"


def test_passwords_that_others_can_read_are_told(tmp_path):
    text = '[[camera]]\nname = "a"\nsource = "rtsp://u:hunter2@h/x"'
    (caution,) = read_config(write(tmp_path, text, 0o644)).cautions
    assert "chmod 600" in caution and "hunter2" not in caution
    assert not read_config(write(tmp_path, text, 0o600)).cautions
    assert not read_config(write(tmp_path, text.replace("hunter2", "${P}"), 0o644), {"P": "hunter2"}).cautions


def test_broken_toml_shows_nothing(tmp_path):
    with pytest.raises(UserError) as error:
        read_config(write(tmp_path, '[[camera]]\nsource = "rtsp://u:hunter2@h/x'))
    assert "hunter2" not in str(error.value)


words = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'<>"), min_size=6, max_size=20)


@given(words, st.sampled_from(["rtsp", "rtsps", "http", "mqtt"]))
def test_no_password_survives_in_a_message(password, scheme):
    url = f"{scheme}://admin:{password}@camera:554/live"
    for text in (f"[Errno 111] refused: '{url}'", f"{url}", f"av_open({url!r}) failed"):
        assert password not in hide_credentials(text, [password]).replace("***", "")


@given(words)
def test_what_came_from_the_environment_is_known(password):
    text, put_in, unset = fill_in("rtsp://a:${P}@h/${Q}", {"P": password})
    assert text == f"rtsp://a:{password}@h/" and put_in == [password] and unset == ["Q"]


def test_parameters_and_what_is_no_secret():
    assert hide_credentials("http://h/x?user=admin&password=abc&channel=1") == "http://h/x?user=***&password=***&channel=1"
    assert hide_credentials("rtsp://h/x: timed out, mail a@b") == "rtsp://h/x: timed out, mail a@b"
    assert secrets_of("rtsp://h/x@y") == []
