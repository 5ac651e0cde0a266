// Publishes as OBS does, on the library that OBS publishes with: node as_obs.mjs URL TOKEN FILE FPS late|early
// FILE: access units of H.264 (Annex B), each behind its length (4 bytes, little end first); sent again and again until input ends.
// late: OBS 30.2 and newer look for their addresses once they have the answer, so that the offer has none; early: before.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const rtc = createRequire(process.env.AADC_NODE_MODULES + "/")("node-datachannel");
const [url, token, file, fps, addresses] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const units = [];
for (let data = readFileSync(file), at = 0; at < data.length; ) {
  const size = data.readUInt32LE(at);
  units.push(data.subarray(at + 4, at + 4 + size));
  at += 4 + size;
}

const connection = new rtc.PeerConnection("obs", { iceServers: [] });
const [voiceSsrc, ssrc, cname, stream] = [1001, 1002, "cname", "stream"];
const voice = new rtc.Audio("0", "SendOnly");
voice.addOpusCodec(111);
voice.addSSRC(voiceSsrc, cname, stream, `${stream}-audio`);
const voiceTrack = connection.addTrack(voice);
const picture = new rtc.Video("1", "SendOnly");
picture.addH264Codec(96);
picture.addSSRC(ssrc, cname, stream, `${stream}-video`);
const config = new rtc.RtpPacketizationConfig(ssrc, cname, 96, 90000);
const packetizer = new rtc.H264RtpPacketizer("StartSequence", config, 1200);
packetizer.addToChain(new rtc.RtcpSrReporter(config));
packetizer.addToChain(new rtc.RtcpNackResponder(4000));
const track = connection.addTrack(picture); // nobody listens to it: a key picture that is asked for does not come
track.setMediaHandler(packetizer);
connection.onStateChange((state) => say({ state }));

const gathered = new Promise((done) => connection.onGatheringStateChange((state) => state === "complete" && done()));
connection.setLocalDescription();
await gathered;
const whole = connection.localDescription().sdp;
const offer = addresses === "late" ? whole.replace(/a=(candidate|end-of-candidates).*\r\n/g, "") : whole;
const headers = { Authorization: `Bearer ${token}`, "User-Agent": "Mozilla/5.0 (OBS-Studio/31.0; Linux x86_64; en-US)" };
const answer = await fetch(url, { method: "POST", body: offer, headers: { ...headers, "Content-Type": "application/sdp" } });
const text = await answer.text();
say({ status: answer.status, location: answer.headers.get("location"), library: rtc.getLibraryVersion(), offer, answer: text });
if (answer.status !== 201) process.exit(1);
connection.setRemoteDescription(text, "answer");

let [number, sent, sound] = [0, 0, 0];
const started = Date.now(); // the encoder starts with the answer: its first pictures, the first key among them, find no open track
const ticking = setInterval(() => {
  for (; number < ((Date.now() - started) / 1000) * fps; number++) {
    config.timestamp = (number * 90000) / fps;
    if (track.isOpen()) sent += track.sendMessageBinary(units[number % units.length]);
  }
  for (; voiceTrack.isOpen() && sound < (Date.now() - started) / 20; sound++) {
    const packet = Buffer.alloc(12 + 40, 0xfc);
    packet.writeUInt16BE(0x806f, 0); // version 2, payload type 111
    packet.writeUInt16BE(sound & 0xffff, 2);
    packet.writeUInt32BE((sound * 960) >>> 0, 4);
    packet.writeUInt32BE(voiceSsrc, 8);
    voiceTrack.sendMessageBinary(packet);
  }
}, 5);

process.stdin.resume();
process.stdin.on("end", async () => {
  clearInterval(ticking);
  connection.close(); // before DELETE
  const gone = await fetch(new URL(answer.headers.get("location"), url), { method: "DELETE", headers });
  say({ deleted: gone.status, sent, sound });
  rtc.cleanup();
  process.exit(0);
});
