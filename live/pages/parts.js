// What pages of the dashboard are made of. Text goes in as text, whatever it holds.

const SVG = "http://www.w3.org/2000/svg";

// An element with properties (`class`, `data-…`, `aria-…` as attributes, `on…` as listeners) and children.
export function make(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

export function draw(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// The part's own root, made once: a component is drawn again with each new data, but keeps what it has.
export function root(component) {
  return component.parentElement.querySelector(".front");
}

export function clock(ms, day = false) {
  const options = day
    ? { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" }
    : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  return new Date(ms).toLocaleString([], options);
}

export function ago(ms, now) {
  const seconds = Math.max(0, (now - ms) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return clock(ms, true);
}

export function length(seconds) {
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")} min`;
}

// A curve of scores: `points` [x, y, early], `bars` heights of thresholds, `from`..`to` the x axis, `span` [x, x] of an event.
export function curve({ points, bars = [], from, to, span = null, title }) {
  const wide = Math.max(to - from, 1e-9);
  const x = (value) => ((value - from) / wide) * 1000;
  const y = (value) => 100 - 100 * Math.min(Math.max(value, 0), 1);
  const line = (chosen) => chosen.map(([at, score], n) => `${n ? "L" : "M"}${x(at).toFixed(1)} ${y(score).toFixed(1)}`).join("");
  const firm = points.filter((point) => !point[2]);
  const early = points.filter((point) => point[2]);
  if (firm.length && early.length) early.unshift(firm.at(-1));
  const picture = draw("svg", { class: "curve", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": title }, draw("title", {}, title));
  if (span) picture.append(draw("rect", { class: "event", x: x(span[0]), y: 0, width: Math.max(x(span[1]) - x(span[0]), 2), height: 100 }));
  for (const height of [0, 100]) picture.append(draw("line", { class: "axis", x1: 0, x2: 1000, y1: height, y2: height }));
  for (const bar of bars) picture.append(draw("line", { class: "bar", x1: 0, x2: 1000, y1: y(bar), y2: y(bar) }));
  picture.append(draw("path", { class: "score", d: line(firm) }), draw("path", { class: "score early", d: line(early) }));
  picture.append(draw("line", { class: "now", x1: -10, x2: -10, y1: 0, y2: 100 }));
  return picture;
}

// Ask the server for a change; gives its answer, or throws its words.
export async function ask(address, method, body, more = {}) {
  const { me, reason, rights } = await import("/pages/session.js");
  const person = await me();
  if (!person) throw new Error("you are logged out");
  const answer = await fetch(address, {
    method,
    headers: { "Content-Type": "application/json", ...rights(person), ...more },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await reason(answer));
  return answer.json();
}
