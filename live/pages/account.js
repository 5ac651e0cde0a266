// One's own password; for an administrator people with their roles and cameras, tokens of devices, sessions.

import { ask, clock, make, root } from "/pages/parts.js";

const ROLES = ["viewer", "reviewer", "administrator"];
const USES = ["publish", "watch", "metrics"];

export function render(component, kept) {
  const { name, role, cameras } = component.data;
  const key = JSON.stringify([name, role, cameras]);
  if (kept.shown === key) return;
  kept.shown = key;
  const place = root(component);
  place.replaceChildren(own(name, role));
  if (role === "administrator") place.append(people(cameras), tokens(cameras), sessions());
}

function sheet(title, ...children) {
  return make("section", { class: "sheet" }, make("h3", {}, title), ...children);
}

function field(words, input) {
  return make("label", {}, words, input);
}

function choice(options) {
  return make("select", {}, ...options.map((option) => make("option", { value: option }, option)));
}

// A button that asks the server for something, and says what it answered.
function deed(words, told, what) {
  return make("button", { onclick: async () => {
    try {
      told.textContent = (await what()) ?? "";
    } catch (error) {
      told.textContent = `Not done: ${error.message}.`;
    }
  } }, words);
}

function own(name, role) {
  const [old, fresh] = ["current-password", "new-password"].map((kind) => make("input", { type: "password", autocomplete: kind }));
  const told = make("p", { class: "error", role: "status" });
  const change = deed("Change password", told, async () => {
    await ask("/api/me/password", "POST", { old: old.value, new: fresh.value });
    old.value = fresh.value = "";
    return "Changed.";
  });
  const out = deed("Log out", told, async () => {
    await ask("/logout", "POST", {});
    location.assign("/login");
  });
  return sheet(`You are ${name}, ${role}`, make("div", { class: "fields" }, field("password", old), field("new password", fresh), change, out), told);
}

// A table that is asked for anew after each change.
function listed(address, columns, undo) {
  const table = make("table", { class: "rows" });
  const told = make("p", { class: "error", role: "status" });
  const refresh = async () => {
    const answer = await fetch(address);
    if (!answer.ok) return (told.textContent = "The list cannot be had just now.");
    const rows = await answer.json();
    table.replaceChildren(
      make("tr", {}, ...Object.keys(columns).map((head) => make("th", {}, head)), make("th")),
      ...rows.map((row) => make("tr", {}, ...Object.entries(columns).map(([head, of]) => make("td", { "data-head": head }, String(of(row) ?? ""))),
        make("td", {}, deed(undo.words, told, async () => {
          await ask(`${address}/${encodeURIComponent(undo.id(row))}`, "DELETE");
          await refresh();
        })))),
    );
  };
  refresh();
  return { table, told, refresh };
}

const when = (seconds) => (seconds ? clock(seconds * 1000, true) : "never");

function people(cameras) {
  const list = listed("/api/users", { name: (u) => u.name, role: (u) => u.role, cameras: (u) => u.cameras?.join(", ") ?? "all" }, { words: "Remove", id: (u) => u.name });
  const [name, password, which] = [make("input", { autocomplete: "off" }), make("input", { type: "password", autocomplete: "new-password" }), make("input", { placeholder: "all" })];
  which.title = `of ${cameras.join(", ")}`;
  const role = choice(ROLES);
  const add = deed("Add", list.told, async () => {
    const chosen = which.value.split(",").map((one) => one.trim()).filter(Boolean);
    await ask("/api/users", "POST", { name: name.value, password: password.value, role: role.value, cameras: chosen.length ? chosen : null });
    name.value = password.value = which.value = "";
    await list.refresh();
    return "Added.";
  });
  return sheet("People", list.table, make("div", { class: "fields" }, field("name", name), field("password", password), field("role", role), field("cameras, with commas", which), add), list.told);
}

function tokens(cameras) {
  const list = listed("/api/tokens", { use: (t) => t.use, camera: (t) => t.camera, label: (t) => t.label, "made by": (t) => t.made_by, used: (t) => when(t.used_s) }, { words: "Revoke", id: (t) => t.id });
  const [use, camera, label] = [choice(USES), choice(cameras), make("input", { maxlength: "100" })];
  const secret = make("p", { class: "secret" });
  const add = deed("Make a token", list.told, async () => {
    const made = await ask("/api/tokens", "POST", { use: use.value, camera: camera.value, label: label.value });
    secret.textContent = made.token;
    await list.refresh();
    return "Shown this once; keep it now.";
  });
  return sheet("Tokens of devices", list.table, make("div", { class: "fields" }, field("use", use), field("camera", camera), field("label", label), add), secret, list.told);
}

function sessions() {
  const list = listed("/api/sessions", { who: (s) => s.user, from: (s) => s.address, browser: (s) => s.agent, since: (s) => when(s.made_s), seen: (s) => when(s.seen_s) }, { words: "End", id: (s) => s.id });
  return sheet("Sessions", list.table, list.told);
}
