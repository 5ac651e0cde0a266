// One camera: its live picture, the boxes in it, and the curve of its scores, which moves with it.

import { curve, draw, make, root } from "/pages/parts.js";
import { me } from "/pages/session.js";
import { watch } from "/pages/watch.js";

const EVERY = 500;
const SECONDS = 60;

export function render(component, kept) {
  const { camera } = component.data;
  if (kept.camera === camera) return; // the picture goes on
  kept.leave?.();
  kept.camera = camera;
  const place = root(component);
  const picture = make("div");
  const boxes = draw("svg", { class: "boxes", viewBox: "0 0 1600 900", "aria-hidden": "true" });
  const state = make("p", { class: "state", role: "status" }, "Connecting …");
  const chart = make("div");
  const legend = make("div", { class: "legend faint" });
  place.replaceChildren(make("div", { class: "stage" }, picture, boxes), state, chart, legend);
  let stop = () => {};
  let over = false;
  me().then((person) => {
    if (over) return;
    if (!person) return (state.textContent = "You are logged out.");
    stop = watch(picture, camera, { csrf: person.csrf }, (what, words) => {
      state.dataset.state = { live: "online", pictures: "online", error: "offline" }[what] ?? "connecting";
      state.textContent = words;
    });
  });
  const timer = setInterval(async () => {
    if (document.hidden || over) return;
    const answer = await fetch(`/api/cameras/${encodeURIComponent(camera)}/recent`).catch(() => null);
    if (over) return;
    if (!answer?.ok) {
      legend.textContent = "Scores do not come just now; trying again.";
      return;
    }
    show(await answer.json());
  }, EVERY);
  kept.leave = () => {
    over = true;
    clearInterval(timer);
    stop();
    kept.camera = null;
  };

  function show({ at_ms, scores, boxes: found, open_at, close_at, shape }) {
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
    boxes.replaceChildren(
      ...(found ?? []).flatMap(([left, top, right, bottom, label, score]) => {
        const x = (1600 - wide) / 2 + left * wide;
        const y = (900 - high) / 2 + top * high;
        return [
          draw("rect", { x, y, width: (right - left) * wide, height: (bottom - top) * high }),
          draw("text", { x, y: Math.max(y - letters / 3, letters), "font-size": letters }, `${label} ${score.toFixed(2)}`),
        ];
      }),
    );
  }
}
