// When scores become an event, and the named parts of a camera's picture: what counts, what the file says, and changes of it.

import { ask, clock, make, root } from "/pages/parts.js";
import { editor } from "/pages/zones.js";

const RULES = [
  ["open_at", "Opens at", "score that opens an event, 0 to 1", 0, 1, 0.01],
  ["close_at", "Ends below", "score, 0 to 1, not above the one that opens", 0, 1, 0.01],
  ["open_for", "Opens after", "so many snippets in a row", 1, 1000, 1],
  ["close_after_s", "Ends after", "seconds below", 0, 3600, 0.5],
  ["merge_gap_s", "Goes on within", "seconds: one that opens so soon after another is the same", 0, 3600, 0.5],
  ["cool_down_s", "Cools down for", "seconds without a new one after the last", 0, 86400, 1],
  ["most_an_hour", "Most an hour", "events; more go into one digest", 1, 10000, 1],
  ["longest_s", "Cut after", "seconds; it goes on as another", 1, 86400, 1],
];

export function render(component, kept) {
  const { cameras, every } = component.data;
  const key = JSON.stringify([cameras, every]);
  if (kept.shown === key) return;
  kept.leave?.();
  kept.shown = key;
  const place = root(component);
  const scope = make(
    "select",
    { "aria-label": "For which camera" },
    ...(every ? [make("option", { value: "" }, "all cameras that have no rules of their own")] : []),
    ...cameras.map((name) => make("option", { value: `=${name}` }, name)),
  );
  const body = make("div");
  place.replaceChildren(make("div", { class: "fields scope" }, make("label", {}, "For", scope)), body);
  let end = () => {};
  const show = () => {
    end();
    end = scope.value || every ? sheet(body, scope.value.slice(1) || null) : () => {};
  };
  scope.addEventListener("change", show);
  kept.leave = () => {
    end();
    kept.shown = null;
  };
  if (cameras.length || every) show();
}

// All about one camera, or (null) all of them. Gives a function that ends it.
function sheet(place, camera) {
  const address = camera === null ? "/api/settings" : `/api/cameras/${encodeURIComponent(camera)}/settings`;
  const told = make("div", { class: "told", role: "status" });
  let zones = null;
  let known = null;

  const say = (words, wrong = []) => {
    told.className = wrong.length ? "told error" : "told";
    told.replaceChildren(words, ...(wrong.length ? [make("ul", {}, ...wrong.map((one) => make("li", {}, one)))] : []));
  };

  const inputs = Object.fromEntries(
    RULES.map(([name, , words, min, max, step]) => [
      name,
      make("input", { type: "number", inputmode: "decimal", min, max, step, id: `rule-${name}`, "aria-describedby": `of-${name}`, title: words }),
    ]),
  );
  const notes = Object.fromEntries(RULES.map(([name]) => [name, make("span", { class: "faint", id: `of-${name}` })]));
  const rules = make(
    "div",
    { class: "rules" },
    ...RULES.map(([name, title, words]) =>
      make("div", { class: "rule", "data-rule": name }, make("label", { for: `rule-${name}` }, make("b", {}, title), make("span", { class: "faint" }, words)), inputs[name], notes[name]),
    ),
  );

  const changes = () => {
    const asked = {};
    for (const [name, input] of Object.entries(inputs)) {
      const value = input.value.trim() === "" && !input.validity.badInput ? null : Number(input.value);
      if (value !== known.rules[name]) asked[name] = input.validity.badInput ? input.value || "no number" : value;
    }
    return { ...(Object.keys(asked).length ? { rules: asked } : {}), ...(zones?.changed() ? { zones: zones.zones() } : {}) };
  };

  const save = make("button", { class: "first" }, "Save");
  const undo = make("button", {}, "Undo");
  const back = make("button", {}, "Back to the file");
  const look = () => {
    const none = !known || Object.keys(changes()).length === 0;
    save.disabled = undo.disabled = none;
    back.disabled = !known || Object.keys(known.changed).length === 0;
  };

  const fill = (fresh) => {
    known = fresh;
    for (const [name] of RULES) {
      inputs[name].value = fresh.rules[name];
      inputs[name].placeholder = fresh.file.rules[name];
      const by = fresh.changed[name];
      const usual = camera === null || fresh.own_rules ? "the file says" : "all cameras:";
      notes[name].replaceChildren(by ? `${usual} ${fresh.file.rules[name]} · ${by.who}, ${clock(by.utc_ns / 1e6, true)}` : "");
      if (by)
        notes[name].append(
          make("button", { class: "small", "aria-label": `put ${fresh.file.rules[name]} back for ${name}`, onclick: () => {
            inputs[name].value = fresh.file.rules[name];
            look();
            inputs[name].focus();
          } }, "put back"),
        );
    }
    zones?.set(fresh.zones);
    look();
  };

  const done = async (words, what) => {
    save.disabled = undo.disabled = back.disabled = true;
    say("");
    try {
      fill(await what());
      say(words);
    } catch (error) {
      say("Not done:", error.message.split("; "));
      look();
    }
  };

  const load = () =>
    done("", async () => {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error("The settings cannot be had just now.");
      return answer.json();
    });

  save.addEventListener("click", () => done("Saved: what scores goes by it within seconds, and the log has it.", () => ask(address, "PATCH", changes(), { "If-Match": `"${known.version}"` })));
  undo.addEventListener("click", () => load().then(() => inputs.open_at.focus()));
  back.addEventListener("click", () => done("The file's values count again.", () => ask(address, "DELETE")));
  rules.addEventListener("input", look);
  rules.addEventListener("keydown", (event) => event.key === "Enter" && event.target.tagName === "INPUT" && !save.disabled && save.click());

  if (camera !== null) zones = editor(camera, look);
  place.replaceChildren(
    make("section", { class: "sheet" }, make("h3", {}, "Events"), rules),
    ...(zones ? [make("section", { class: "sheet" }, make("h3", {}, "Zones"), zones.element)] : []),
    make("div", { class: "deeds" }, save, undo, back),
    told,
    make("p", { class: "faint" }, "Saved values stand over the file of cameras, which stays as it is; “aadc-live settings CAMERAS.toml” lists them. Blackouts are not changed here: they are painted where pictures are read, before anything else sees them; write them into the file and start again."),
  );
  look();
  load();
  return () => zones?.leave();
}
