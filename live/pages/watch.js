// One camera's live picture in an element: WebRTC (WHEP); as single pictures over HTTP where that does not pass.

import { connect, disconnect } from "/pages/session.js";

const PATIENCE = 5000; // without a picture by then: over HTTP
const AGAIN = 60000; // and WebRTC is tried again after so long

// Shows `camera` within `place`. `who`: {csrf} of the session, or {token}. `tell(state, text)` is called with connecting, live,
// pictures (over HTTP) or error. Gives a function that ends it; call it when the element goes away.
export function watch(place, camera, who, tell = () => {}) {
  let over = false;
  let undo = () => {};
  const leave = () => {
    over = true;
    undo();
    removeEventListener("pagehide", leave);
  };
  addEventListener("pagehide", leave);

  (async () => {
    while (!over) {
      tell("connecting", "Connecting …");
      let why;
      try {
        why = await byWebRTC();
      } catch (error) {
        why = error.message;
        if ([401, 403, 404].includes(error.status)) {
          tell("error", `Not to be seen: ${why}.`);
          return;
        }
        if (!over) await byPictures();
      }
      if (!over && why) await sleep(500);
    }
  })();

  // Returns when a picture that was there is lost; throws when there was none.
  async function byWebRTC() {
    if (!window.RTCPeerConnection) throw new Error("this browser has no WebRTC");
    const connection = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, autoplay: true });
    video.className = "picture";
    video.setAttribute("aria-label", `live picture of ${camera}`);
    let where = null;
    const end = () => {
      connection.close();
      video.srcObject = null;
      video.remove();
      if (where) disconnect(where, who);
      where = null;
    };
    undo = end;
    try {
      const stream = new MediaStream();
      connection.addTransceiver("video", { direction: "recvonly" });
      connection.addEventListener("track", (event) => stream.addTrack(event.track));
      video.srcObject = stream;
      where = await connect(connection, `/whep/${encodeURIComponent(camera)}`, who);
      place.replaceChildren(video);
      let seen = 0;
      let last = performance.now();
      while (!over) {
        await sleep(250);
        const pictures = video.getVideoPlaybackQuality().totalVideoFrames;
        if (pictures > seen) {
          if (seen === 0) tell("live", "Live.");
          seen = pictures;
          last = performance.now();
        }
        if (["failed", "closed"].includes(connection.connectionState) || performance.now() - last > PATIENCE) {
          if (document.hidden && connection.connectionState === "connected") continue; // hidden pages paint nothing
          if (seen === 0) throw new Error("no picture came over WebRTC");
          return "the picture was lost";
        }
      }
    } finally {
      end();
    }
  }

  async function byPictures() {
    const image = Object.assign(document.createElement("img"), { className: "picture", alt: `live picture of ${camera}` });
    undo = () => {
      image.removeAttribute("src"); // ends the request
      image.remove();
    };
    place.replaceChildren(image);
    let failed = false;
    image.addEventListener("error", () => (failed = true));
    image.addEventListener("load", () => tell("pictures", "Live, as single pictures: WebRTC does not pass here."), { once: true });
    image.src = `/api/cameras/${encodeURIComponent(camera)}/mjpeg`;
    for (let waited = 0; waited < AGAIN && !over && !failed; waited += 250) await sleep(250);
    if (failed && !over) {
      tell("error", "No picture. Trying again …");
      await sleep(3000);
    }
    undo();
  }

  return leave;
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
