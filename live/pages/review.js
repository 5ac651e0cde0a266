// Events to be judged: the list, and one of them open. One key each: c confirm, d dismiss, r rename, u undo, j and k down and up.

import { ask, clock, curve, length, make, root } from "/pages/parts.js";

const KEYS = "c confirm · d dismiss · r rename · u undo · j, k next, previous";

export function render(component, kept) {
  const { data } = component;
  const search = JSON.stringify(data.search);
  if (kept.data && data.search && search !== JSON.stringify(kept.data.search)) kept.open = null; // the best of what was found is looked at
  kept.data = data;
  if (!kept.list) begin(root(component), kept);
  const events = data.events;
  // Whoever is looking at an event goes on with it, also when a decision takes it out of this list.
  if (kept.open && !events.some((event) => event.id === kept.open.id)) kept.gone = true;
  else kept.open = events.find((event) => event.id === kept.open?.id) ?? events[0] ?? null;
  showList(kept);
  showOne(kept);
  kept.away.hidden = !data.may_export;
}

function begin(place, kept) {
  kept.list = make("div", { class: "list", role: "list", "aria-label": "events" });
  kept.one = make("div", { class: "one" });
  kept.undo = null;
  kept.curves = new Map();
  kept.away = takeAway();
  place.replaceChildren(make("div", { class: "review" }, kept.list, kept.one), kept.away);
  const deeds = { c: "confirmed", d: "dismissed", r: "renamed", u: "undo", j: 1, k: -1 };
  const onKey = (event) => {
    const typing = event.composedPath().some((one) => one.matches?.("input, textarea, select, [contenteditable=true]"));
    const deed = deeds[event.key];
    if (deed === undefined || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Streamlit has keys of its own, and looks at every part of a press
    if (event.type !== "keydown" || event.repeat) return;
    if (typeof deed === "number") step(kept, deed);
    else act(kept, deed);
  };
  const parts = ["keydown", "keypress", "keyup"];
  for (const part of parts) addEventListener(part, onKey, true);
  kept.leave = () => parts.forEach((part) => removeEventListener(part, onKey, true));
}

function step(kept, by) {
  const events = kept.data.events;
  const here = events.findIndex((event) => event.id === kept.open?.id);
  const next = events[Math.min(Math.max(here + by, 0), events.length - 1)];
  if (next) choose(kept, next);
}

function choose(kept, event) {
  kept.open = event;
  kept.gone = false;
  kept.renaming = false;
  kept.told = "";
  showList(kept);
  showOne(kept);
  kept.list.querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

async function act(kept, deed, category) {
  if (!kept.data.may_decide) return say(kept, "Your role looks; it does not decide.");
  if (deed === "undo") {
    if (!kept.undo) return say(kept, "There is nothing to undo.");
    const { event, before } = kept.undo;
    kept.undo = null;
    return send(kept, event, before.decision === "renamed" ? { decision: "renamed", category: before.category, new: true } : { decision: before.decision }, null);
  }
  if (!kept.open) return;
  if (deed === "renamed" && !category) {
    kept.renaming = true;
    kept.unknown = null; // what was told of another event's new class was not told of this one's
    kept.told = "";
    showOne(kept);
    kept.one.querySelector("input")?.focus();
    return;
  }
  const before = { decision: kept.open.verdict ?? (kept.open.label ? "renamed" : "open"), category: kept.open.label };
  await send(kept, kept.open, category ? { decision: deed, category, new: kept.unknown === category } : { decision: deed }, before);
}

async function send(kept, event, decision, before) {
  try {
    const changed = await ask(`/api/events/${encodeURIComponent(event.id)}/decision`, "POST", decision);
    if (before) kept.undo = { event, before };
    kept.open = changed;
    kept.renaming = false;
    say(kept, before ? `${decision.decision}${decision.category ? ` to ${decision.category}` : ""}. Press u to undo.` : "Undone.");
  } catch (error) {
    say(kept, `Not kept: ${error.message}.`);
  }
}

function say(kept, words) {
  kept.told = words;
  showOne(kept);
}

function showList(kept) {
  const { events, filtered, to_review, search } = kept.data;
  const like = search?.[0] === "pictures";
  kept.list.setAttribute("aria-label", like ? "events, those most like the words first" : "events, newest first");
  const key = JSON.stringify([like, events.map((event) => [event.id, event.similarity, event.verdict, event.label, event.description, event.clip, event.state, event.ending]), kept.open?.id]);
  if (kept.shownList === key) return;
  kept.shownList = key;
  kept.cards ??= new Map();
  const cards = events.map((event) => {
    const card = kept.cards.get(event.id) ?? newCard(kept, event.id);
    fillCard(card, event, event.id === kept.open?.id, () => choose(kept, event));
    return card;
  });
  kept.cards = new Map(cards.map((card) => [card.dataset.id, card]));
  const empty = to_review ? "Nothing waits for review. New events will appear here by themselves." : "No event yet. It will appear here by itself.";
  const none = like ? "No event with a picture to compare. Change what is shown above." : filtered ? "Nothing like that. Change what is shown above." : empty;
  kept.list.replaceChildren(...(cards.length ? cards : [make("div", { class: "none" }, none)]));
}

function newCard(kept, id) {
  const card = make("button", { class: "card", role: "listitem", "data-id": id });
  card.addEventListener("click", () => card.choose());
  return card;
}

function fillCard(card, event, current, choose) {
  card.choose = choose;
  card.setAttribute("aria-current", current);
  const still = card.querySelector(".still") ?? make("div", { class: "still" });
  if (event.clip && !still.querySelector("img")) {
    still.textContent = "";
    still.append(make("img", { src: `/clips/${encodeURIComponent(event.id)}.jpg`, alt: "", loading: "lazy" }));
  }
  if (!event.clip) still.textContent = event.ending === null ? "…" : "no clip";
  const words = make(
    "span",
    {},
    make("b", {}, event.category),
    make("span", { class: "faint" }, `${event.camera} · ${clock(event.start_ns / 1e6)}`),
    make("span", { class: "faint verdict", "data-verdict": event.verdict ?? "" }, state(event)),
    event.similarity === undefined ? null : make("span", { class: "faint" }, `similarity ${event.similarity.toFixed(3)}`),
  );
  card.replaceChildren(still, words);
}

function state(event) {
  if (event.verdict) return event.verdict;
  if (event.ending === null) return event.state === "provisional" ? "happening, provisional" : "happening";
  return `to review · peak ${event.peak.toFixed(2)}`;
}

function showOne(kept) {
  const event = kept.open;
  if (event) fetchCurve(kept, event);
  const key = JSON.stringify([event, kept.curves.get(event?.id)?.length, kept.told, kept.renaming, kept.data.may_decide, kept.gone]);
  if (kept.shownOne === key) return;
  const field = kept.one.querySelector("input");
  const typing = field?.matches(":focus");
  kept.shownOne = key;
  if (!event) return kept.one.replaceChildren();
  const film = kept.film?.id === event.id && kept.film.clip === event.clip ? kept.film.element : filmOf(event);
  kept.film = { id: event.id, clip: event.clip, element: film };
  const may = kept.data.may_decide;
  const deed = (what, words, letter) =>
    make("button", { disabled: !may, "aria-pressed": String(event.verdict === what), onclick: () => act(kept, what) }, words, make("kbd", {}, letter));
  const rename = kept.renaming ? renameForm(kept, field?.value ?? event.category) : null;
  const points = kept.curves.get(event.id) ?? [];
  const parts = [
    film,
    make("h2", {}, event.category),
    make("p", { class: "faint" }, `${event.camera} · ${clock(event.start_ns / 1e6, true)} · ${length(event.end_s - event.start_s)}${event.label ? ` · scored as ${event.detected}` : ""}`),
    make("p", {}, event.description || (event.ending === null ? "Still happening; words come when it has ended." : "")),
    make("div", { class: "deeds" }, deed("confirmed", "Confirm", "c"), deed("dismissed", "Dismiss", "d"), deed("renamed", "Rename", "r"),
      make("button", { disabled: !may || !kept.undo, onclick: () => act(kept, "undo") }, "Undo", make("kbd", {}, "u"))),
    rename,
    make("p", { class: "faint", role: "status" }, kept.told || KEYS),
    points.length > 1 ? withClock(points, event, film) : null,
    make("p", { class: "faint" }, `peak ${event.peak.toFixed(2)} · mean ${event.mean.toFixed(2)} · ${Math.round(100 * event.share)} % of the abnormal classes' share · ${event.state}${event.ending ? `, ended: ${event.ending}` : ""}`),
  ];
  kept.one.replaceChildren(...parts.filter(Boolean));
  if (typing && rename) { // else the next letters would be keys, and decide
    const fresh = rename.querySelector("input");
    fresh.focus();
    fresh.setSelectionRange(field.selectionStart, field.selectionEnd);
  }
}

// The curve of the one that is looked at; asking for it is what the log calls a view.
async function fetchCurve(kept, event) {
  if (kept.asked === `${event.id} ${event.ending}`) return;
  kept.asked = `${event.id} ${event.ending}`;
  const answer = await fetch(`/api/events/${encodeURIComponent(event.id)}`).catch(() => null);
  if (!answer?.ok) return;
  kept.curves = new Map([[event.id, (await answer.json()).curve ?? []]]);
  showOne(kept);
}

function filmOf(event) {
  const stage = make("div", { class: "stage" });
  if (!event.clip) {
    stage.append(make("div", { class: "still" }, event.ending === null ? "the clip comes when it has ended" : "no clip is kept (any more)"));
    return stage;
  }
  const address = `/clips/${encodeURIComponent(event.id)}`;
  stage.append(make("video", { controls: true, muted: true, playsinline: true, preload: "metadata", poster: `${address}.jpg`, src: `${address}.mp4`, "aria-label": "clip of the event" }));
  return stage;
}

// The curve under the clip: a line shows where the clip is, a click goes there.
function withClock(points, event, film) {
  const from = points[0][0];
  const to = points.at(-1)[0];
  const picture = curve({ points: points.map(([at, score]) => [at, score, false]), bars: [], from, to, span: [event.start_s, event.end_s], title: `scores during the event, highest ${event.peak.toFixed(2)}` });
  const video = film.querySelector("video");
  const line = picture.querySelector(".now");
  const begins = event.clip_start_s ?? from;
  if (video) {
    const move = () => {
      const x = (1000 * (begins + video.currentTime - from)) / Math.max(to - from, 1e-9);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    };
    video.addEventListener("timeupdate", move);
    picture.style.cursor = "pointer";
    picture.addEventListener("click", (click) => {
      const box = picture.getBoundingClientRect();
      video.currentTime = Math.max(0, from + ((click.clientX - box.left) / box.width) * (to - from) - begins);
    });
  }
  return picture;
}

function renameForm(kept, value) {
  const input = make("input", { maxlength: "100", "aria-label": "its right class" });
  input.value = value;
  const classes = kept.data.classes;
  const done = () => {
    const category = input.value.trim();
    if (!category) return;
    if (classes.length && !classes.includes(category) && kept.unknown !== category) {
      kept.unknown = category;
      return say(kept, `The head knows no ${category}, but ${classes.join(", ")}. Once more takes it all the same; nothing learns from it.`);
    }
    act(kept, "renamed", category);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") done();
    if (event.key === "Escape") {
      kept.renaming = false;
      showOne(kept);
    }
  });
  input.setAttribute("list", "classes");
  const known = make("datalist", { id: "classes" }, ...classes.map((name) => make("option", { value: name })));
  return make("div", { class: "deeds" }, input, known, make("button", { onclick: done }, "Rename"));
}

// Decided events as files: the manifest with its clips, or lists of them alone. An administrator's.
function takeAway() {
  const told = make("p", { class: "faint", role: "status" });
  const files = { "All with clips (zip)": "zip", "Label Studio (JSON)": "label_studio", "Manifest (CSV)": "csv" };
  const buttons = Object.entries(files).map(([words, what]) => make("button", { onclick: () => take(what) }, words));
  const take = async (what) => {
    for (const button of buttons) button.disabled = true;
    told.textContent = "Clips are written anew; with many of them that takes minutes …";
    try {
      told.textContent = await download("/api/export", { what });
    } catch (error) {
      told.textContent = `Nothing exported: ${error.message}.`;
    }
    for (const button of buttons) button.disabled = false;
  };
  return make("details", { class: "away" }, make("summary", {}, "Export decided events"), make("p", { class: "faint" }, "Confirmed and dismissed events, to train on or to label further. Kept in the access log."),
    make("div", { class: "deeds" }, ...buttons), told);
}

// Save what the server makes; gives a sentence about it.
async function download(address, asked) {
  const { me, reason, rights } = await import("/pages/session.js");
  const person = await me();
  if (!person) throw new Error("you are logged out");
  const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json", ...rights(person) }, body: JSON.stringify(asked) });
  if (!answer.ok) throw new Error(await reason(answer));
  const name = /filename="?([\w.]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "export";
  const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  const left = Number(answer.headers.get("X-AADC-Left-Out"));
  return `${name}: ${answer.headers.get("X-AADC-Events")} events${left ? `, ${left} left out since their clips are gone or their class is not the run's` : ""}.`;
}
