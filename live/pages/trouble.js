// What is the matter with a camera's scores, in words, or nothing: from what the server says of it (`recent`), if it says so.

const SILENT = 3; // seconds without a sign of life of what scores; it gives one several times a second
const STALE = 10; // seconds without a new score

const COMES_BACK = "It comes back by itself.";

// `told`: the server's answer; null where there was none. `age`: of the newest score, in seconds.
export function trouble(told, age = 0) {
  if (told === null) return `The server does not answer. ${COMES_BACK}`;
  if (told.state === "disabled") return "This camera is switched off in the file of cameras.";
  if (told.silent_s === null) return "Scoring starts: the models are being loaded.";
  if (told.silent_s > SILENT) return `Scoring stopped ${Math.round(told.silent_s)} s ago. ${COMES_BACK}`;
  if (["offline", "stalled", "connecting"].includes(told.state))
    return `The camera is ${told.state}${told.error ? ` (${told.error})` : ""}. ${COMES_BACK}`;
  if (told.wrong?.length) return `The picture is ${told.wrong.join(" and ")}: it is not scored.`;
  if (age > STALE) return `There is no new score for ${Math.round(age)} s.`;
  return "";
}
