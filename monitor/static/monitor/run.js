/**
 * The page of one run. `<task-progress>` keeps the bars up to date; this asks the server for the rest of the page
 * (timeline, result, history) again when the run has moved on.
 */

import { fetchPage, replaceLiveParts } from "./page-refresh.js";

/** Refresh this often at least while the run is running: the timeline grows. */
const REFRESH_EVERY_MS = 3_000;
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 60_000;

const element = document.querySelector("task-progress");
const rendered = document.querySelector("article").dataset;
const title = document.title.replace(/^\S+ % /, "");

/** The outline of the status that the page shows; null while that is not known. */
let shownOutline = null;
let refreshedAt = Date.now();
let refreshing = false;
let retryAfter = FIRST_RETRY_MS;

document.addEventListener("progress", ({ detail: status }) => follow(status));
// The element may have had its status, even the last one, before this module was loaded.
if (element.status) follow(element.status);

/** What makes the page refresh at once when it changes: the state of the run, and each step's state and attempt. */
function outline({ state, steps }) {
	return JSON.stringify([state, steps.map((step) => [step.state, step.attempt])]);
}

function follow(status) {
	const percent = status.status === "OK" ? 100 : Math.min(99, Math.floor(status.completion));
	document.title = `${percent} % ${title}`;

	const isAsRendered = String(status.version) === rendered.version && status.state === rendered.state;
	if (isAsRendered) shownOutline ??= outline(status);
	const isOld = Date.now() - refreshedAt > REFRESH_EVERY_MS && status.poll_after_ms !== null;
	if (isOld || outline(status) !== shownOutline) refresh(status);
}

async function refresh(status) {
	if (refreshing) return;
	refreshing = true;
	const page = await fetchPage();
	refreshing = false;
	refreshedAt = Date.now();
	if (!page) {
		// If the run has ended, no event comes that would refresh the page.
		setTimeout(() => refresh(status), retryAfter);
		retryAfter = Math.min(LONGEST_RETRY_MS, 2 * retryAfter);
		return;
	}
	retryAfter = FIRST_RETRY_MS;
	replaceLiveParts(page);
	shownOutline = outline(status);
	// A status that came during the request may not be on the page.
	if (outline(element.status) !== shownOutline) refresh(element.status);
}
