// The publisher's page: this device's camera to the server (WHIP), again and again until it is told to stop.

import { cameras, connect, disconnect, me } from "/pages/session.js";

const at = (id) => document.getElementById(id);
const [camera, device, resolution, button, preview, state] =
  ["camera", "device", "resolution", "button", "preview", "state"].map(at);
const fragment = new URLSearchParams(location.hash.slice(1)); // never sent to the server, nor written in its log
const who = { token: fragment.get("token"), csrf: null };
let sending = null; // what is to be undone when it stops

function tell(what, text) {
  state.dataset.state = what;
  state.textContent = text;
}

function add(select, value, text) {
  const option = document.createElement("option");
  option.value = value;
  option.textContent = text;
  select.append(option);
}

async function prepare() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return tell("error", "Browsers give a camera to pages over HTTPS (or localhost) alone. Open this page with https://.");
  }
  if (who.token) {
    add(camera, fragment.get("camera") ?? "", fragment.get("camera") ?? "");
  } else {
    const person = await me();
    if (!person) {
      location.assign("/login");
      return;
    }
    who.csrf = person.csrf;
    if (person.role !== "administrator") {
      return tell("error", "Only an administrator, or a link with a camera's token, may send a camera.");
    }
    for (const one of await cameras()) if (one.published) add(camera, one.name, one.name);
    camera.disabled = false;
  }
  if (!camera.value) return tell("error", 'There is no camera to send as: one needs source = "webrtc" in the file of cameras.');
  button.disabled = false;
  tell("idle", "Not sending.");
}

async function listDevices(stream) {
  const chosen = stream.getVideoTracks()[0].getSettings().deviceId;
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
  if (found.length === 0) return;
  device.replaceChildren();
  found.forEach((one, number) => add(device, one.deviceId, one.label || `camera ${number + 1}`));
  device.value = chosen;
}

function constraints() {
  const [width, height] = resolution.value.split("x").map(Number);
  const which = ["environment", "user"].includes(device.value)
    ? { facingMode: device.value }
    : { deviceId: { exact: device.value } };
  return { audio: false, video: { ...which, width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } } };
}

async function start() {
  const now = { stopped: false, stream: null, connection: null, where: null, lock: null };
  sending = now;
  button.textContent = "Stop";
  for (const select of [camera, device, resolution]) select.disabled = true;
  try {
    tell("busy", "Asking for the camera …");
    now.stream = await navigator.mediaDevices.getUserMedia(constraints());
    if (now.stopped) return now.stream.getTracks().forEach((track) => track.stop());
  } catch (error) {
    stop();
    return tell("error", `The camera cannot be used (${error.name}). Allow it in the browser, and close other programs that use it.`);
  }
  preview.srcObject = now.stream;
  await listDevices(now.stream);
  now.stream.getVideoTracks()[0].addEventListener("ended", () => {
    if (sending === now) {
      stop();
      tell("error", "The camera was taken away.");
    }
  });
  now.lock = await navigator.wakeLock?.request("screen").catch(() => null); // a phone that sleeps sends nothing
  for (let tries = 0; !now.stopped; tries++) {
    try {
      await once(now);
      tries = 0;
    } catch (error) {
      if (now.stopped) return;
      const again = ![400, 401, 403, 404, 422].includes(error.status);
      if (!again) {
        stop();
        return tell("error", `Not sending: ${error.message}.`);
      }
      const wait = Math.max(error.after ?? 0, Math.min(2 ** tries, 30));
      tell("error", `Not sending: ${error.message}. Again in ${wait} s …`);
      await sleep(wait * 1000);
    }
  }
}

// One connection, until it is lost (returns or throws) or the page is told to stop.
async function once(now) {
  tell("busy", "Connecting …");
  const connection = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
  now.connection = connection;
  const [track] = now.stream.getVideoTracks();
  track.contentHint = "motion";
  connection.addTransceiver(track, { direction: "sendonly", streams: [now.stream], sendEncodings: [{ maxBitrate: 2_500_000 }] });
  try {
    now.where = await connect(connection, `/whip/${encodeURIComponent(camera.value)}`, who);
    let sent = 0;
    let silent = 0;
    let away = 0;
    while (!now.stopped) {
      await sleep(1000);
      away = connection.connectionState === "disconnected" ? away + 1 : 0;
      if (away > 4 || ["failed", "closed"].includes(connection.connectionState)) throw new Error("the connection was lost");
      const video = await outbound(connection);
      silent = video && video.framesSent > sent ? 0 : silent + 1;
      sent = video?.framesSent ?? sent;
      if (silent > 15) throw new Error("nothing gets through");
      if (silent === 0) {
        const { width, height } = track.getSettings();
        const size = `${video.frameWidth ?? width} × ${video.frameHeight ?? height}`;
        tell("sending", `Sending as ${camera.value}: ${size}, ${Math.round(video.framesPerSecond ?? 0)} pictures a second.`);
      }
    }
  } finally {
    connection.close();
    if (now.where) disconnect(now.where, who);
    now.where = null;
  }
}

async function outbound(connection) {
  for (const report of (await connection.getStats()).values()) {
    if (report.type === "outbound-rtp" && report.kind === "video") return report;
  }
  return null;
}

function stop() {
  const now = sending;
  sending = null;
  if (now) {
    now.stopped = true;
    now.stream?.getTracks().forEach((track) => track.stop());
    now.lock?.release();
    now.connection?.close();
    if (now.where) disconnect(now.where, who);
    now.where = null;
  }
  preview.srcObject = null;
  button.textContent = "Send";
  for (const select of [device, resolution]) select.disabled = false;
  camera.disabled = Boolean(who.token);
  tell("idle", "Not sending.");
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  sending ? stop() : start();
});
addEventListener("pagehide", stop);
prepare();
