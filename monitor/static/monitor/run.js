/** The run's page: shows each status that comes in, and the result at the end. */

import { follow } from "./poll.js";

const REFUSED = {
  401: "You are signed out. Reload the page to sign in.",
  403: "You are signed out. Reload the page to sign in.",
  404: "This run was deleted.",
  410: "This run was deleted.",
};

const CANCELLING = "cancelling";

const page = document.querySelector("[data-run]");
const overall = page.querySelector("[data-overall]");
const connection = overall.querySelector("[data-connection]");

page.querySelector("[data-refresh]")?.remove();
follow(page.dataset.statusUrl, {
  onStatus: show,
  onTrouble: () => { connection.textContent = "No answer from the server; reconnecting…"; },
  onRefused: (code) => { connection.textContent = REFUSED[code]; },
});

function show(status, now) {
  connection.textContent = "";
  fill(overall, status, now);
  for (const step of status.steps) {
    const row = page.querySelector(`[data-step="${CSS.escape(step.name)}"]`);
    if (row) fill(row, step, now);
  }
  const ended = status.poll_after_ms === null;
  overall.querySelector("[data-cancel]").hidden = ended || status.message === CANCELLING;
  overall.querySelector("[data-retry]").hidden = !ended || status.state === "SUCCESS";
  document.title = `${percent(status)} % ${status.workflow}`;
  if (ended) end(status);
}

/** Write one status into its place on the page; `place` is the overall panel or a step's row. */
function fill(place, status, now) {
  const part = (name) => place.querySelector(`[data-${name}]`);
  const bar = part("bar");
  // A new attempt starts from nothing; within one, a late answer must not pull the bar back.
  const fresh = String(status.attempt ?? "") !== (place.dataset.attempt ?? "");
  const shown = fresh ? percent(status) : Math.max(bar.value, percent(status));
  if ("attempt" in status) place.dataset.attempt = status.attempt;
  bar.value = shown;
  part("percent").textContent = shown;
  part("message").textContent = status.message === word(status) ? "" : status.message;
  part("times").textContent = times(status, now);
  part("error").textContent = status.error ?? "";
  part("error").hidden = !status.error;
  part("word").textContent = word(status);
  place.dataset.state = part("word").dataset.state = status.state;
}

async function end(status) {
  connection.textContent = `The run has ended: ${word(status)}.`;
  if (status.state !== "SUCCESS") return;
  const section = page.querySelector("[data-result]");
  const body = section.querySelector("[data-result-body]");
  section.hidden = false;
  try {
    const response = await fetch(page.dataset.resultUrl);
    if (!response.ok) throw new Error(response.statusText);
    body.innerHTML = await response.text();
  } catch {
    body.textContent = "The result could not be fetched. Reload the page to see it.";
  }
}

/** Rounded down: 100 is for what ended OK, and for nothing else. */
function percent(status) {
  return status.status === "OK" ? 100 : Math.min(99, Math.floor(status.completion));
}

function word(status) {
  switch (status.state) {
    case "PENDING": return status.task_id ? "queued" : "waiting";
    case "SUCCESS": return "done";
    case "FAILURE": return "failed";
    case "REVOKED": return status.status === "ERROR" ? "cancelled" : "skipped";
    default: return status.message === CANCELLING ? CANCELLING : "running";
  }
}

function times(status, now) {
  if (!status.started_at) return "";
  const until = status.finished_at ? Date.parse(status.finished_at) : now;
  const elapsed = duration((until - Date.parse(status.started_at)) / 1000);
  const left = status.eta_seconds ?? null;
  return left === null ? elapsed : `${elapsed} · about ${duration(left)} left`;
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  if (hours) return `${hours} h ${two(minutes)} min`;
  return minutes ? `${minutes} min ${two(whole % 60)} s` : `${whole} s`;
}
