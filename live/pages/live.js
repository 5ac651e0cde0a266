// One camera: its live picture, the boxes in it, and the curve of its scores, which moves with it.

import { curve, draw, make, root } from "/pages/parts.js";
import { me } from "/pages/session.js";
import { trouble } from "/pages/trouble.js";
import { watch } from "/pages/watch.js";

const EVERY = 500;
const PATIENCE = 4000; // for an answer
const SECONDS = 60;
const BOXES = 5; // seconds; older boxes are not where they are drawn

export function render(component, kept) {
  const { camera } = component.data;
  if (kept.camera === camera) return; // the picture goes on
  kept.leave?.();
  kept.camera = camera;
  const place = root(component);
  const picture = make("div");
  const boxes = draw("svg", { class: "boxes", viewBox: "0 0 1600 900", "aria-hidden": "true" });
  const state = make("p", { class: "state", role: "status" }, "Connecting …");
  const matter = make("p", { class: "matter", role: "alert", hidden: true });
  const chart = make("div");
  const legend = make("div", { class: "legend faint" });
  place.replaceChildren(make("div", { class: "stage" }, picture, boxes), state, matter, chart, legend);
  let stop = () => {};
  let over = false;
  (async () => {
    for (;;) {
      const person = await me().catch(() => undefined);
      if (over) return;
      if (person === null) return (state.textContent = "You are logged out.");
      if (person) {
        stop = watch(picture, camera, { csrf: person.csrf }, (what, words) => {
          state.dataset.state = { live: "online", pictures: "online", error: "offline" }[what] ?? "connecting";
          state.textContent = words;
        });
        return;
      }
      state.textContent = "The server does not answer. Trying again …";
      await new Promise((done) => setTimeout(done, 1000));
    }
  })();
  let asking = false;
  const timer = setInterval(async () => {
    if (document.hidden || over || asking) return;
    asking = true;
    const address = `/api/cameras/${encodeURIComponent(camera)}/recent`;
    const told = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) })
      .then((answer) => (answer.ok ? answer.json() : answer.status < 500 ? { refused: answer.status } : null))
      .catch(() => null);
    asking = false;
    if (over) return;
    if (told?.refused) return say(told.refused === 401 ? "You are logged out." : "This camera is not to be seen.");
    const newest = told?.scores.at(-1);
    const age = newest ? (told.at_ms - newest[0]) / 1000 : 0;
    say(trouble(told, age));
    if (told) show(told, age);
    else boxes.replaceChildren();
  }, EVERY);
  kept.leave = () => {
    over = true;
    clearInterval(timer);
    stop();
    kept.camera = null;
  };

  function say(words) {
    if (matter.textContent !== words) matter.textContent = words; // read out once
    matter.hidden = !words;
  }

  function show({ at_ms, scores, boxes: found, open_at, close_at, shape, zones }, age) {
    const points = scores.map(([ms, score, final]) => [(ms - at_ms) / 1000, score, !final]).filter(([at]) => at >= -SECONDS);
    const bars = [open_at, close_at].filter((bar) => typeof bar === "number");
    const newest = points.at(-1);
    const title = newest ? `scores of the last minute, now ${newest[1].toFixed(2)}` : "no score yet";
    chart.replaceChildren(curve({ points, bars, from: -SECONDS, to: 0, title }));
    legend.replaceChildren(
      make("span", {}, newest ? `score ${newest[1].toFixed(2)}, ${Math.max(0, -newest[0]).toFixed(1)} s old` : "no score yet"),
      make("span", {}, bars.length ? `opens at ${bars[0].toFixed(2)}, ends below ${(bars[1] ?? bars[0]).toFixed(2)}` : ""),
      make("span", {}, "dashed: provisional · left: a minute ago, right: now"),
    );
    const letters = (13 * 1600) / Math.max(boxes.clientWidth, 1); // 13 px, however small the picture is shown
    const [height, width] = shape ?? [9, 16];
    const wide = Math.min(1600, (900 * width) / height);
    const high = (wide * height) / width;
    const across = (share) => (1600 - wide) / 2 + share * wide;
    const down = (share) => (900 - high) / 2 + share * high;
    boxes.replaceChildren(
      ...(zones ?? []).flatMap(({ name, polygon }) => {
        const [x, y] = polygon.reduce((low, one) => (one[1] > low[1] || (one[1] === low[1] && one[0] < low[0]) ? one : low)); // names of boxes are at their top
        return [
          draw("polygon", { class: "zone", points: polygon.map(([x, y]) => `${across(x)},${down(y)}`).join(" ") }),
          draw("text", { class: "zone", x: across(x), y: down(y) - letters / 3, "text-anchor": x > 0.5 ? "end" : "start", "font-size": letters }, name),
        ];
      }),
      ...(age > BOXES ? [] : (found ?? [])).flatMap(([left, top, right, bottom, label, score]) => {
        const [x, y] = [across(left), down(top)];
        const at = left > 0.8 ? { x: across(right), "text-anchor": "end" } : { x }; // a name does not leave the picture
        return [
          draw("rect", { x, y, width: (right - left) * wide, height: (bottom - top) * high }),
          draw("text", { ...at, y: Math.max(y - letters / 3, letters), "font-size": letters }, `${label} ${score.toFixed(2)}`),
        ];
      }),
    );
  }
}
