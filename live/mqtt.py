"""Notices over MQTT: review messages as Frigate's consumers know them, and devices that Home Assistant finds by itself."""

import hashlib
import json
import re
import secrets
import sys
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from aadc.live.credentials import hide_credentials, secrets_of
from aadc.live.event import Kind
from aadc.live.notify import clip_link
from aadc.live.store import Notice
from aadc.manifests.extras import needed

_ARRIVES_S = 10.0
_HOME_ASSISTANT = "homeassistant"


class Mqtt:
    """A connection to a broker that comes back by itself.

    Topics: `PREFIX/available` (online, offline; the broker says offline where the connection is lost), `PREFIX/reviews` (every
    notice), and for each camera `PREFIX/CAMERA/anomaly` (ON, OFF) and `PREFIX/CAMERA/event` (the last one), both retained.
    Availability, devices and states are told anew on every connection, for a broker may have forgotten them.
    """

    def __init__(self, url: str, prefix: str, cameras: Sequence[str], address: str | None = None) -> None:
        """`url`: mqtt://USER:PASSWORD@HOST:PORT, mqtts for TLS; `address`: of the server that shows clips. Does not wait for
        the broker.

        Raises:
            UserError: paho-mqtt is not installed.
        """
        with needed("notices over MQTT", "live"):
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        parts = urlsplit(url)
        self._secrets, self._prefix, self._cameras = secrets_of(url), prefix.strip("/"), list(cameras)
        self._address = address
        self._states: dict[str, str] = {}  # retained ones, by topic, as they were told last
        self._lock = threading.Lock()
        self._under_way: tuple[int, Any] | None = None
        self._problem = "the broker has not answered yet"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"aadc-{secrets.token_hex(8)}")
        if parts.username is not None:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set()
        self._client.will_set(f"{self._prefix}/available", "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, 60)
        self._client.on_connect, self._client.on_message = self._connected, self._heard
        self._client.on_connect_fail = self._not_connected
        self._client.connect_async(parts.hostname or "localhost", parts.port or (8883 if parts.scheme == "mqtts" else 1883))
        self._client.loop_start()

    def send(self, notice: Notice) -> None:
        """Publish a notice, and wait for the broker to have it. One that is under way already is not published again: the
        library itself sends it anew once the broker is back.

        Raises:
            OSError: the broker is away.
        """
        if self._under_way is None or self._under_way[0] != notice.number:
            if not self._client.is_connected():
                raise OSError(hide_credentials(self._problem, self._secrets))
            self._set_states(notice)
            message = json.dumps(review(notice) | clip_link(self._address, notice))
            self._under_way = notice.number, self._client.publish(f"{self._prefix}/reviews", message, qos=1)
        info = self._under_way[1]
        try:
            info.wait_for_publish(_ARRIVES_S)
        except (ValueError, RuntimeError) as error:
            self._under_way = None
            raise OSError(f"the broker cannot be told ({error})") from None
        if not info.is_published():
            raise OSError("the broker does not answer")
        self._under_way = None

    def close(self) -> None:
        """Say goodbye."""
        if self._client.is_connected():
            self._client.publish(f"{self._prefix}/available", "offline", qos=1, retain=True).wait_for_publish(2)
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Any, _data: Any, _flags: Any, answer: Any, _properties: Any) -> None:
        if answer.is_failure:
            self._problem = f"the broker refuses: {answer}"
            return
        self._problem = "the broker is away"
        client.publish(f"{self._prefix}/available", "online", qos=1, retain=True)
        client.subscribe(f"{_HOME_ASSISTANT}/status", qos=1)
        self._announce()
        with self._lock:
            states = dict(self._states)
        for topic, state in states.items():
            client.publish(topic, state, qos=1, retain=True)

    def _not_connected(self, _client: Any, _data: Any) -> None:
        """The library calls this while it handles the error that it says nothing of: a certificate, a name, a port."""
        error = sys.exc_info()[1]
        self._problem = f"the broker cannot be reached ({error or 'no reason is known'})"

    def _heard(self, _client: Any, _data: Any, message: Any) -> None:
        if message.payload == b"online":  # Home Assistant starts, and knows nothing
            self._announce()

    def _announce(self) -> None:
        for camera in self._cameras:
            name = topic_name(camera)
            told = json.dumps(device(self._prefix, camera))
            self._client.publish(f"{_HOME_ASSISTANT}/device/aadc_{name}/config", told, qos=1, retain=True)

    def _set_states(self, notice: Notice) -> None:
        after = notice.body["after"]
        topic = f"{self._prefix}/{topic_name(after['camera'])}"
        event = {"event_type": notice.kind.value, "category": after["category"], "score": after["peak"], "id": after["id"]}
        event |= {"description": notice.body["description"]} | clip_link(self._address, notice)
        states = {
            f"{topic}/anomaly": "OFF" if notice.kind is Kind.end else "ON",
            f"{topic}/event": json.dumps(event),
        }
        with self._lock:
            self._states |= states
        for one, state in states.items():
            self._client.publish(one, state, qos=1, retain=True)


def review(notice: Notice) -> dict[str, Any]:
    """A notice as Frigate writes its reviews: `type`, `before` and `after` with the same id (both the same in a `new`). What is
    more than Frigate says of it stands under `aadc`."""
    body = notice.body
    after = _review_item(body["after"])
    before = _review_item(body["before"]) if body["before"] else after
    return {"type": body["type"], "before": before, "after": after | {"description": body["description"]}}


def _review_item(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": event["id"],
        "camera": event["camera"],
        "start_time": event["start_ns"] / 1e9,
        "end_time": None if event["ending"] is None else event["end_ns"] / 1e9,
        "severity": "alert" if event["state"] == "confirmed" else "detection",
        "thumb_path": "",
        "data": {"detections": [event["id"]], "objects": [event["category"]], "sub_labels": [], "zones": [], "audio": []},
        "aadc": event,
    }


def device(prefix: str, camera: str) -> dict[str, Any]:
    """A camera as Home Assistant's device discovery takes it."""
    name, topic = topic_name(camera), f"{prefix}/{topic_name(camera)}"
    return {
        "dev": {"ids": [f"aadc_{name}"], "name": f"AADC {camera}", "mf": "aadc-net", "mdl": "camera"},
        "o": {"name": "aadc-live"},
        "availability": [{"topic": f"{prefix}/available"}],
        "cmps": {
            "anomaly": {
                "p": "binary_sensor",
                "unique_id": f"aadc_{name}_anomaly",
                "name": "Anomaly",
                "device_class": "problem",
                "state_topic": f"{topic}/anomaly",
            },
            "category": {
                "p": "sensor",
                "unique_id": f"aadc_{name}_category",
                "name": "Last event",
                "state_topic": f"{topic}/event",
                "value_template": "{{ value_json.category }}",
                "json_attributes_topic": f"{topic}/event",
            },
            "event": {
                "p": "event",
                "unique_id": f"aadc_{name}_event",
                "name": "Event",
                "event_types": [kind.value for kind in Kind],
                "state_topic": f"{topic}/event",
            },
        },
    }


def topic_name(camera: str) -> str:
    """A camera's name as one level of a topic and part of an id; names that differ stay different."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", camera)[:60]
    return plain if plain == camera and plain else f"{plain}_{hashlib.sha256(camera.encode(errors='replace')).hexdigest()[:6]}"
