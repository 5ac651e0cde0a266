"""cameras.toml: everything wrong with it is told at once, and no password is ever shown."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aadc.live.config import read_config
from aadc.live.credentials import fill_in, hide_credentials, secrets_of
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
