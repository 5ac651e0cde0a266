"""Notices arrive, each once and in order, whoever was away meanwhile: a web server and a real broker."""

import json
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from aadc.live import notify, tls
from aadc.live.config import Notices
from aadc.live.event_sink import _channels
from aadc.live.mqtt import Mqtt, device, review, topic_name
from aadc.live.notify import Notifier, Webhook
from aadc.live.store import Notice, Store

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from made_events import an_event, messages  # noqa: E402
from waiting import wait_until  # noqa: E402
from webhook import Hook  # noqa: E402


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "_LOOKS_EVERY_S", 0.02)
    monkeypatch.setattr(notify, "_LONGEST_WAIT_S", 0.1)
    store = Store(tmp_path / "events.sqlite", ["there"])
    yield store
    store.close()


def put(store, *numbers):
    tell(store, *(message for number in numbers for message in messages(number)))


def tell(store, *told):
    for message in told:
        store.put(message, "a car hits a wall").result()


def test_a_webhook_gets_each_notice_until_it_takes_it(store):
    put(store, 0, 1)
    told = []
    with Hook(500, 503, 429, 301, 204, 400) as server:
        notifier = Notifier(store, "there", Webhook(f"http://anna:s3cret%40@127.0.0.1:{server.port}/hook"), told.append)
        wait_until(lambda: not store.unsent("there").result())
        server.open.clear()  # the end comes in while the first notice is on its way, and takes the place of what was between
        begins, *later = messages(2)
        tell(store, begins)
        wait_until(lambda: server.asked > len(server.got))
        tell(store, *later)
        server.open.set()
        wait_until(lambda: not store.unsent("there").result())
        notifier.close()
    names = [an_event(number).id for number in range(3)]
    taken = [(body["type"], body["after"]["id"]) for code, body, _ in server.got if code == 204]
    assert [code for code, *_ in server.got][:6] == [500, 503, 429, 301, 204, 400] and len(server.got) == 6 + 4
    assert taken == [("new", names[0]), ("new", names[1]), ("end", names[1]), ("new", names[2]), ("end", names[2])]
    headers = [headers for _, _, headers in server.got]
    assert {one["Authorization"] for one in headers} == {"Basic YW5uYTpzM2NyZXRA"}
    assert len({one["Idempotency-Key"] for one in headers}) == 6 and len({one["Idempotency-Key"] for one in headers[:5]}) == 1
    assert any("400" in one and "left out" in one for one in told)


def test_what_a_webhook_says_that_is_no_answer_is_not_repeated(store):
    """It may hold anything, also what it was sent."""
    put(store, 0)
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()

        def answers():
            one, _ = there.accept()
            with one:
                one.recv(2**16)
                one.sendall(b"\x1b[2J so you are anna:s3cret\r\n\r\n")

        thread = threading.Thread(target=answers)
        thread.start()
        with pytest.raises(OSError, match=r"does not answer as HTTP has it \(BadStatusLine\)") as error:
            Webhook(f"http://anna:s3cret@127.0.0.1:{there.getsockname()[1]}/x").send(store.unsent("there").result()[0])
        thread.join()
    assert "s3cret" not in str(error.value)


def test_a_webhook_that_drips_costs_an_attempt_and_no_more(store, monkeypatch):
    """Each byte is in time."""
    monkeypatch.setattr(notify, "_ATTEMPT_S", 0.3)
    put(store, 0)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as there:

        def drips():
            one, _ = there.accept()
            with one, suppress(OSError):
                while not over.wait(0.02):
                    one.sendall(b"x")

        thread = threading.Thread(target=drips)
        thread.start()
        late = threading.Timer(20, over.set)
        late.start()
        hook = Webhook(f"http://anna:s3cret@127.0.0.1:{there.getsockname()[1]}/x")
        with pytest.raises(OSError, match="the webhook"):  # has no answer, or is cut off
            hook.send(store.unsent("there").result()[0])
        assert not over.is_set(), "it was the channel that hung up"
        late.cancel()
        over.set()
        thread.join()


def test_a_webhook_that_is_away_is_told_later_and_the_password_never(store):
    put(store, 0)
    told = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://anna:s3cret@127.0.0.1:{taken.getsockname()[1]}/hook"
        notifier = Notifier(store, "there", Webhook(url), told.append)
        wait_until(lambda: told)
        time.sleep(0.3)
        notifier.close()
    assert len(told) == 1 and "s3cret" not in told[0] and "refused" in told[0]
    assert len(store.unsent("there").result()) == 2  # for the next process
    for bad in ("http://anna:s3cret@\nx/", "http://anna:s3cret@[::1/", "http://s3cret@nowhere.invalid/"):
        with pytest.raises((OSError, ValueError)) as error:
            Webhook(bad).send(store.unsent("there").result()[0])
        assert "s3cret" not in str(error.value)


def test_a_review_is_what_consumers_of_frigate_read():
    first, update, end = messages(0)
    body = {"type": "new", "before": None, "after": first.after.shape(), "description": ""}
    told = review(Notice(1, first.after.id, first.kind, body))
    assert told["type"] == "new" and told["before"]["id"] == told["after"]["id"] == first.after.id
    assert told["after"]["severity"] == "detection" and told["after"]["end_time"] is None
    assert told["after"]["start_time"] == first.after.start_ns / 1e9 and told["after"]["data"]["objects"] == ["RoadAccidents"]
    body = {"type": "end", "before": update.after.shape(), "after": end.after.shape(), "description": "words"}
    told = review(Notice(2, end.after.id, end.kind, body))
    assert told["before"]["end_time"] is None and told["after"]["end_time"] == pytest.approx(told["after"]["start_time"] + 4)
    assert told["after"]["severity"] == "alert" and told["after"]["description"] == "words"


def test_a_device_is_what_home_assistant_asks_for():
    told = device("aadc", "front door")
    assert {"dev", "o", "cmps", "availability"} <= set(told) and told["o"]["name"]
    assert all({"p", "unique_id"} <= set(one) for one in told["cmps"].values())
    assert len({one["unique_id"] for one in told["cmps"].values()}) == len(told["cmps"])


def test_names_of_cameras_are_one_level_and_stay_different():
    names = ["yard", "a/b", "a b", "a_b", "é", "", "+", "#", "x" * 300, "x" * 301]
    topics = [topic_name(name) for name in names]
    assert len(set(topics)) == len(names) and not any(set(topic) & set("/+# ") for topic in topics)


class Broker:
    """Mosquitto on a port of its own, that remembers nothing when it is started again."""

    def __init__(self, folder, *lines):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        usual = [f"listener {self.port} 127.0.0.1", "persistence false", "log_type error", "user root"]
        self.config.write_text("\n".join([*usual, *(lines or ["allow_anonymous true"])]) + "\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen([MOSQUITTO, "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers)

    def answers(self):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()


MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not here")


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


class Listener:
    """Hears all topics of a broker, by itself again after it was away."""

    def __init__(self, port, user=None):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard, self.ready = queue.Queue(), threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        if user:
            self.client.username_pw_set(*user)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _client, _data, one: self.heard.put((one.topic, one.payload.decode(), one.retain))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(10)

    def until(self, topic, payload=None):
        """What was heard up to a message of this topic."""
        heard = []
        while not heard or heard[-1][0] != topic or (payload is not None and heard[-1][1] != payload):
            heard.append(self.heard.get(timeout=20))
        return heard

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def reviews_of(heard):
    told = [json.loads(payload) for topic, payload, _ in heard if topic == "house/reviews"]
    return [(one["type"], one["after"]["id"]) for one in told]


@needs_broker
def test_a_broker_that_is_away_misses_no_end_and_gets_each_once_in_order(store, broker):
    listener, told = Listener(broker.port), []
    channel = Mqtt(f"mqtt://127.0.0.1:{broker.port}", "house", ["yard"])
    channel._client.reconnect_delay_set(3, 3)  # the listener is there first
    notifier = Notifier(store, "there", channel, told.append)
    heard = listener.until("homeassistant/device/aadc_yard/config")
    put(store, 0)
    heard += listener.until("house/reviews")
    while ("end", an_event(0).id) not in reviews_of(heard):
        heard += listener.until("house/reviews")
    broker.kill()
    listener.close()
    wait_until(lambda: put(store, 1) or told, 30)
    put(store, *range(2, 30))
    broker.start()
    listener = Listener(broker.port)
    while ("end", an_event(29).id) not in reviews_of(heard):
        heard += listener.until("house/reviews")
    expected = [(kind, an_event(number).id) for number in range(30) for kind in ("new", "end")]
    assert [one for one in reviews_of(heard) if one[0] != "update"] == expected
    wait_until(lambda: not store.unsent("there").result())
    # Born again on the new connection, and the state is known to who comes later.
    later = Listener(broker.port)
    now = {topic: payload for topic, payload, _ in later.until("house/yard/event")}
    assert now["house/available"] == "online" and now["house/yard/anomaly"] == "OFF"
    assert json.loads(now["house/yard/event"])["description"] == "a car hits a wall"
    notifier.close()
    later.until("house/available", "offline")
    later.close()
    listener.close()


@needs_broker
@pytest.mark.parametrize("address", ["https://cameras.example", None])
def test_over_mqtt_a_notice_links_to_its_clip_as_over_the_webhook(store, broker, address):
    """The same address; none where nobody knows one."""
    listener = Listener(broker.port)
    asked = Notices(mqtt=f"mqtt://127.0.0.1:{broker.port}", mqtt_topic="house")
    notifier = Notifier(store, "there", _channels(asked, ["yard"], address)["mqtt"])
    put(store, 0)
    heard = listener.until("house/yard/anomaly", "OFF")
    heard += listener.until("house/reviews")
    link = f"{address}/clips/{an_event(0).id}.mp4" if address else None
    for topic in ("house/reviews", "house/yard/event"):
        told = [json.loads(payload) for where, payload, _ in heard if where == topic]
        assert told and {one.get("clip_url") for one in told} == {link}
    notifier.close()
    listener.close()


@needs_broker
def test_one_that_is_killed_is_offline_by_its_last_will(broker):
    listener = Listener(broker.port)
    code = "import sys, time; from aadc.live.mqtt import Mqtt; m = Mqtt(sys.argv[1], 'house', ['yard']); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, f"mqtt://127.0.0.1:{broker.port}"])
    listener.until("house/available", "online")
    child.send_signal(signal.SIGKILL)
    child.wait()
    listener.until("house/available", "offline")
    listener.close()


@needs_broker
def test_home_assistant_that_starts_anew_is_told_again(broker):
    listener = Listener(broker.port)
    channel = Mqtt(f"mqtt://127.0.0.1:{broker.port}", "house/", ["yard", "front door"])
    listener.until("homeassistant/device/aadc_yard/config")
    listener.client.publish("homeassistant/status", "online")
    heard = listener.until("homeassistant/status") + listener.until("homeassistant/device/aadc_yard/config")
    found = [json.loads(payload) for topic, payload, _ in heard if "aadc_yard" in topic]
    assert found[-1] == device("house", "yard")
    channel.close()
    listener.close()


@needs_broker
@pytest.mark.parametrize(
    ("trusted", "name", "why"),
    [
        ("the broker's", "127.0.0.1", ""),
        ("another", "127.0.0.1", "self-signed certificate"),
        ("the broker's", "elsewhere", "mismatch"),
    ],
)
def test_a_broker_that_is_not_who_it_should_be_is_said(store, tmp_path, monkeypatch, trusted, name, why):
    """Over TLS, with one's own CA as the system's; and the same for whatever else keeps it from being reached."""
    for one in ("ours", "other"):
        (tmp_path / one).mkdir()
    (ours, key), (other, _) = (tls.certificate(tmp_path / one, [name]) for one in ("ours", "other"))
    monkeypatch.setenv("SSL_CERT_FILE", str(ours if trusted == "the broker's" else other))
    broker, told = Broker(tmp_path, "allow_anonymous true", f"certfile {ours}", f"keyfile {key}"), []
    put(store, 0)
    notifier = Notifier(store, "there", Mqtt(f"mqtts://anna:s3cret@127.0.0.1:{broker.port}", "house", []), told.append)
    if why:
        wait_until(lambda: any("the broker cannot be reached" in one and why in one for one in told), 30)
    else:
        wait_until(lambda: not store.unsent("there").result(), 30)
    broker.kill()
    if not why:
        put(store, 1)
        wait_until(lambda: any("refused" in one for one in told), 60)
        broker.start()
        wait_until(lambda: not store.unsent("there").result(), 60)
    notifier.close()
    broker.kill()
    assert "s3cret" not in str(told)


@needs_broker
def test_a_broker_with_passwords(store, tmp_path):
    words = tmp_path / "passwords"
    made = subprocess.run(["mosquitto_passwd", "-b", "-c", words, "anna", "s3cr@t"], capture_output=True)
    if made.returncode:
        pytest.skip("mosquitto_passwd is not here")
    words.chmod(0o644)
    broker, told = Broker(tmp_path, "allow_anonymous false", f"password_file {words}"), []
    put(store, 0)
    wrong = Notifier(store, "there", Mqtt(f"mqtt://anna:wrongs3cret@127.0.0.1:{broker.port}", "house", []), told.append)
    wait_until(lambda: any("refuses" in one for one in told))
    wrong.close()
    assert not any("wrongs3cret" in one for one in told) and len(store.unsent("there").result()) == 2
    right = Notifier(store, "there", Mqtt(f"mqtt://anna:s3cr%40t@127.0.0.1:{broker.port}", "house", []), told.append)
    wait_until(lambda: not store.unsent("there").result())
    right.close()
    broker.kill()
