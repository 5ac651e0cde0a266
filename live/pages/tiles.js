// Every camera as a tile: a picture a second while the page is seen, its state, whether scoring keeps up, its last event.

import { ago, make, root } from "/pages/parts.js";
import { trouble } from "/pages/trouble.js";

const EVERY = 1000;
const SILENT = 6000; // without news from the server, which come every 1.5 s

export function render(component, kept) {
  const { data } = component;
  const place = root(component);
  kept.tiles ??= new Map();
  if (!kept.grid) {
    kept.grid = make("div", { class: "tiles" });
    const matter = make("p", { class: "matter", role: "alert", hidden: true });
    place.replaceChildren(matter, kept.grid);
    const timer = setInterval(() => {
      const words = performance.now() - kept.told > SILENT ? trouble(null) : "";
      if (matter.textContent !== words) matter.textContent = words;
      matter.hidden = !words;
      kept.grid.classList.toggle("stale", Boolean(words));
      if (!document.hidden) for (const tile of kept.tiles.values()) tile.refresh();
    }, EVERY);
    kept.leave = () => clearInterval(timer);
  }
  kept.told = performance.now();
  const names = new Set(data.cameras.map((camera) => camera.name));
  for (const [name, tile] of kept.tiles) {
    if (!names.has(name)) {
      tile.element.remove();
      kept.tiles.delete(name);
    }
  }
  for (const camera of data.cameras) {
    if (!kept.tiles.has(camera.name)) {
      const tile = made(camera.name);
      kept.tiles.set(camera.name, tile);
      kept.grid.append(tile.element);
    }
    kept.tiles.get(camera.name).tell(camera, data.at_ms);
  }
}

function made(name) {
  const state = make("span", { class: "state" });
  const facts = make("div", { class: "faint" });
  const last = make("div", { class: "faint" });
  const still = make("div", { class: "still" }, "no picture");
  const element = make(
    "a",
    { class: "tile", href: `/ui/live?camera=${encodeURIComponent(name)}`, target: "_self" },
    still,
    make("div", { class: "words" }, make("h3", {}, name), state, facts, last),
  );
  let loading = false;
  return {
    element,
    refresh() {
      if (loading || state.dataset.state === "disabled") return;
      loading = true;
      const picture = make("img", { alt: `newest picture of ${name}` });
      picture.addEventListener("load", () => {
        still.querySelector("img")?.remove();
        still.append(picture);
        loading = false;
      });
      picture.addEventListener("error", () => {
        still.querySelector("img")?.remove();
        setTimeout(() => (loading = false), 2000);
      });
      picture.src = `/api/cameras/${encodeURIComponent(name)}/snapshot.jpg?at=${Date.now()}`;
    },
    tell({ now, last: event }, at) {
      state.dataset.state = now.state;
      state.textContent = now.state;
      const words = [];
      const { real_time, dropped } = now.scoring ?? {};
      if (typeof real_time === "number") words.push(`real-time factor ${real_time.toFixed(2)}`);
      if (dropped) words.push(`${dropped} dropped`);
      const ails = now.scoring ? trouble({ ...now, silent_s: now.scoring.silent_s ?? null, wrong: Object.keys(now.wrong ?? {}) }) : "";
      if (ails) words.push(ails);
      else if (now.error) words.push(now.error);
      facts.textContent = words.join(" · ");
      last.textContent = event ? `last: ${event.category}, ${ago(event.start_ns / 1e6, at)}` : "no event yet";
    },
  };
}
