// A page that shows one camera, without the dashboard.

import { cameras, me } from "/pages/session.js";
import { watch } from "/pages/watch.js";

const camera = document.getElementById("camera");
const state = document.getElementById("state");
const person = await me();
let leave = () => {};

function show() {
  leave();
  leave = watch(document.getElementById("picture"), camera.value, { csrf: person.csrf }, (what, text) => {
    state.dataset.state = what;
    state.textContent = text;
  });
}

if (person) {
  for (const one of await cameras()) {
    const option = document.createElement("option");
    option.textContent = one.name;
    camera.append(option);
  }
  const wanted = new URLSearchParams(location.search).get("camera");
  if (wanted) camera.value = wanted;
  camera.addEventListener("change", show);
  if (camera.value) show();
} else {
  location.assign("/login");
}
