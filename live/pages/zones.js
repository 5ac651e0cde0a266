// Polygons over a camera's picture, drawn by mouse, finger or keys. Corners are shares of width and height, as in the file.

import { draw, make } from "/pages/parts.js";

const EVERY = 2000; // a new picture, in milliseconds
const WIDE = 1000; // of the drawing, in its own units
const STEP = 0.01; // of an arrow key; five times that with Shift
const MOST = 1000; // corners
const TWICE = 400; // milliseconds between two presses that remove a corner

// `changed` is called with each change. Gives {element, zones(), set(zones), changed(), leave()}.
export function editor(camera, changed) {
  let zones = [];
  let before = "[]";
  let chosen = -1;
  let held = null; // what a pointer drags: {target, corner} or {target, from, polygon}
  let last = {}; // the corner that was pressed last, and when
  let high = (WIDE * 9) / 16;
  const stage = make("div", { class: "stage zones" });
  const picture = make("div", { class: "under" }, "no picture");
  const canvas = draw("svg", { class: "boxes edit", viewBox: `0 0 ${WIDE} ${high}`, role: "group", "aria-label": `zones in the picture of ${camera}` });
  const spoken = make("p", { class: "faint", role: "status" });
  const list = make("div", { class: "zonelist" });
  const help = make("p", { class: "faint" }, "Drag corners, or a zone as a whole; the small dots between corners add one, and pressing a corner twice removes it. Keys: Tab to a corner, arrows move it (Shift: further), + adds one after it, Delete removes it.");
  const add = make("button", { onclick: () => addZone() }, "New zone");
  stage.append(picture, canvas);
  const element = make("div", { class: "zoning" }, stage, spoken, list, make("div", { class: "deeds" }, add), help);

  const timer = setInterval(refresh, EVERY);
  const resized = new ResizeObserver(() => paint());
  resized.observe(stage);
  refresh();

  function refresh() {
    if (document.hidden) return;
    const image = make("img", { alt: "" });
    image.addEventListener("load", () => {
      picture.replaceChildren(image);
      const now = (WIDE * image.naturalHeight) / Math.max(image.naturalWidth, 1);
      if (Math.abs(now - high) < 0.5) return;
      high = now;
      stage.style.aspectRatio = `${WIDE} / ${high}`;
      canvas.setAttribute("viewBox", `0 0 ${WIDE} ${high}`);
      paint();
    });
    image.addEventListener("error", () => picture.replaceChildren("no picture"));
    image.src = `/api/cameras/${encodeURIComponent(camera)}/snapshot.jpg?at=${Date.now()}`;
  }

  const share = (value) => Math.min(Math.max(Math.round(value * 1000) / 1000, 0), 1);
  const at = ([x, y]) => [x * WIDE, y * high];

  function where(event) {
    const place = canvas.getBoundingClientRect();
    return [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height];
  }

  function told(zone, corner) {
    const [x, y] = zones[zone].polygon[corner];
    return `corner ${corner + 1} of ${zones[zone].polygon.length} of ${zones[zone].name}: ${Math.round(x * 100)} % from left, ${Math.round(y * 100)} % from top`;
  }

  // Draw all of it anew; what had the focus has it afterwards.
  function paint() {
    const focused = canvas.getRootNode().activeElement?.dataset?.corner;
    const unit = WIDE / Math.max(stage.clientWidth, 1); // a pixel of the screen
    const parts = [];
    zones.forEach(({ name, polygon }, n) => {
      const mine = n === chosen;
      parts.push(draw("polygon", { class: mine ? "zone chosen" : "zone", "data-zone": n, points: polygon.map((one) => at(one).join(",")).join(" ") }));
      const [x, y] = at(polygon[0]);
      parts.push(draw("text", { class: "zone", x: Math.min(x + 10 * unit, WIDE - 40 * unit), y: Math.max(y - 10 * unit, 14 * unit), "font-size": 14 * unit }, name));
    });
    if (zones[chosen]) {
      const { polygon } = zones[chosen];
      polygon.forEach((one, n) => {
        const next = polygon[(n + 1) % polygon.length];
        const [x, y] = at([(one[0] + next[0]) / 2, (one[1] + next[1]) / 2]);
        if (polygon.length < MOST)
          parts.push(
            draw("circle", { class: "reach", "data-between": n, cx: x, cy: y, r: 12 * unit }),
            draw("circle", { class: "between", cx: x, cy: y, r: 4 * unit }),
          );
      });
      polygon.forEach((one, n) => {
        const [cx, cy] = at(one);
        parts.push(
          draw("circle", { class: "reach", "data-corner": n, cx, cy, r: 18 * unit, tabindex: 0, role: "button", "aria-label": told(chosen, n) }),
          draw("circle", { class: "corner", cx, cy, r: 8 * unit }),
        );
      });
    }
    for (const child of [...canvas.children]) if (child !== held?.target) child.remove(); // a finger's moves end with what it touched
    canvas.append(...parts);
    if (focused !== undefined) focus(Number(focused), true);
  }

  function focus(corner, preventScroll = false) {
    const { length } = zones[chosen]?.polygon ?? [];
    canvas.querySelector(`[data-corner="${Math.min(corner, length - 1)}"]`)?.focus({ preventScroll });
  }

  function listed() {
    list.replaceChildren(
      ...zones.map((zone, n) => {
        const name = make("input", { maxlength: 100, "aria-label": `name of zone ${n + 1}`, value: zone.name, onfocus: () => choose(n), oninput: () => {
          zone.name = name.value;
          paint();
          changed();
        } });
        return make("div", { class: "zonerow" },
          make("button", { "aria-pressed": String(n === chosen), "aria-label": `change ${zone.name}`, onclick: () => {
            choose(n);
            focus(0);
          } }, String(n + 1)),
          name,
          make("button", { "aria-label": `remove ${zone.name}`, onclick: () => remove(n) }, "Remove"));
      }),
    );
  }

  function choose(n) {
    if (n === chosen) return;
    chosen = n;
    [...list.children].forEach((row, place) => row.firstChild.setAttribute("aria-pressed", String(place === n)));
    paint();
  }

  function addZone() {
    let number = zones.length + 1;
    while (zones.some(({ name }) => name === `zone ${number}`)) number += 1;
    zones.push({ name: `zone ${number}`, polygon: [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]] });
    chosen = zones.length - 1;
    paint();
    listed();
    focus(0);
    changed();
  }

  function remove(n) {
    zones.splice(n, 1);
    chosen = Math.min(chosen, zones.length - 1);
    paint();
    listed();
    (list.querySelectorAll("input")[Math.min(n, zones.length - 1)] ?? add).focus();
    changed();
  }

  function insert(corner, place) {
    zones[chosen].polygon.splice(corner + 1, 0, place.map(share));
  }

  function drop(corner) {
    if (zones[chosen].polygon.length <= 3) return (spoken.textContent = "A zone has three corners at least.");
    zones[chosen].polygon.splice(corner, 1);
    paint();
    focus(corner);
    changed();
  }

  canvas.addEventListener("pointerdown", (event) => {
    const { target } = event;
    const { zone, corner, between } = target.dataset;
    if (event.button !== 0 || held || (zone ?? corner ?? between) === undefined) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    if (corner !== undefined) {
      const twice = last.corner === corner && event.timeStamp - last.at < TWICE;
      last = twice ? {} : { corner, at: event.timeStamp };
      if (twice) return drop(Number(corner));
      held = { target, corner: Number(corner) };
    } else if (between !== undefined) {
      insert(Number(between), where(event));
      held = { target, corner: Number(between) + 1 };
      changed();
    } else {
      choose(Number(zone));
      held = { target, from: where(event), polygon: zones[chosen].polygon.map((one) => [...one]) };
    }
    for (const name of ["data-zone", "data-corner", "data-between", "tabindex"]) target.removeAttribute(name);
    target.setAttribute("class", "held");
    paint();
    if (held.corner !== undefined) focus(held.corner, true);
  });
  canvas.addEventListener("touchstart", (event) => held && event.preventDefault(), { passive: false }); // the page stays where it is
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    const now = where(event);
    if (held.corner !== undefined) zones[chosen].polygon[held.corner] = now.map(share);
    else {
      const limits = [0, 1].map((axis) => {
        const along = held.polygon.map((one) => one[axis]);
        return Math.min(Math.max(now[axis] - held.from[axis], -Math.min(...along)), 1 - Math.max(...along));
      });
      zones[chosen].polygon = held.polygon.map((one) => one.map((value, axis) => share(value + limits[axis])));
    }
    paint();
    changed();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => {
      if (held?.corner !== undefined) spoken.textContent = told(chosen, held.corner);
      held = null;
      paint();
    });
  canvas.addEventListener("keydown", (event) => {
    if (event.target.dataset.corner === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const corner = Number(event.target.dataset.corner);
    const { polygon } = zones[chosen];
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const by = event.shiftKey ? 5 * STEP : STEP;
      polygon[corner] = polygon[corner].map((value, axis) => share(value + way[axis] * by));
    } else if (["+", "Enter", "Insert"].includes(event.key) && polygon.length < MOST) {
      const next = polygon[(corner + 1) % polygon.length];
      insert(corner, [0, 1].map((axis) => (polygon[corner][axis] + next[axis]) / 2));
    } else if (["Delete", "Backspace"].includes(event.key)) {
      event.preventDefault();
      return drop(corner);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    paint();
    focus(way ? corner : corner + 1);
    spoken.textContent = told(chosen, way ? corner : corner + 1);
    changed();
  });

  return {
    element,
    zones: () => zones,
    changed: () => JSON.stringify(zones) !== before,
    set(fresh) {
      zones = structuredClone(fresh);
      before = JSON.stringify(zones);
      chosen = Math.min(Math.max(chosen, 0), zones.length - 1);
      paint();
      listed();
    },
    leave() {
      clearInterval(timer);
      resized.disconnect();
    },
  };
}
