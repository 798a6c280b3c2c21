/**
 * The page of one run. `<task-progress>` keeps the bars up to date; this asks the server for the other parts of the
 * page (timeline, result, history) again when the run has moved on.
 */

import { SIGNED_OUT, fetchPage, replaceLiveParts } from "./page-refresh.js";

/** While many steps run side by side, refresh this often at most. */
const REFRESH_EVERY_MS = 2_000;
/** While the run goes on, look this often at what no step tells, such as that no worker is running. */
const LOOK_AGAIN_MS = 5_000;
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 60_000;

const element = document.querySelector("task-progress");
const rendered = document.querySelector("article").dataset;
const title = document.querySelector("h1").textContent;

/** The outline of the status that the page shows; null while that is not known. */
let shownOutline = null;
let refreshedAt = 0;
let refreshing = false;
/** Whether somebody unfolded a part during a refresh, which did not ask for it. */
let again = false;
let timer;
let lookTimer;
let retryAfter = FIRST_RETRY_MS;

// Those of the runs inside come here too.
document.addEventListener("progress", ({ target, detail }) => target === element && follow(detail));
// `toggle` does not bubble.
document.addEventListener("toggle", ({ target }) => target.open && "lazy" in target.dataset && unfolded(), true);
// What is open stands in the page's address, and so in what is asked for.
document.addEventListener("click", openDetails);
// The element itself cancels at one click: in other pages that is for their authors to decide.
element.addEventListener("click", askBeforeCancel, true);
// The element may have had its status, even the last one, before this module was loaded.
if (element.status) follow(element.status);
document.addEventListener("visibilitychange", lookAgain);
lookAgain();

/** What makes the page refresh when it changes: the state of the run, and each step's state, attempt and items. */
function outline({ state, steps }) {
	return JSON.stringify([state, steps.map((step) => [step.state, step.attempt, step.items])]);
}

function askBeforeCancel(event) {
	const isCancel = event.composedPath()[0].part?.contains("cancel");
	const question = element.constructor.text("Cancel this run? What is done is kept, and a retry goes on from there.");
	if (isCancel && !confirm(question)) event.stopPropagation();
}

function follow(status) {
	const word = element.state;
	const shown = element.constructor.text(word);
	const said = word === "running" ? element.percent : `${shown[0].toUpperCase()}${shown.slice(1)}:`;
	document.title = `${said} ${title}`.trim();

	const isAsRendered = String(status.version) === rendered.version && status.state === rendered.state;
	if (isAsRendered) shownOutline ??= outline(status);
	if (outline(status) !== shownOutline) refreshSoon(status);
}

/** Refresh at once; soon, where that was just done. Nobody wants to wait for the end of a run. */
function refreshSoon({ poll_after_ms }) {
	const wait = poll_after_ms === null ? 0 : refreshedAt + REFRESH_EVERY_MS - Date.now();
	clearTimeout(timer);
	timer = setTimeout(refresh, wait);
}

function openDetails(event) {
	const link = event.target.closest("a[data-opens]");
	const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
	if (!link || elsewhere || !element.status) return;
	event.preventDefault();
	history.replaceState(null, "", link.href);
	unfolded();
}

function unfolded() {
	again = refreshing;
	refresh();
}

/** What is drawn in the timeline moves on with the time: nothing has to come from the server for it. */
function moveTimeline() {
	const timeline = document.querySelector(".timeline[data-now]");
	if (!timeline || !element.status?.poll_after_ms) return;
	const { seconds, now } = timeline.dataset;
	const passed = Math.max(0, (element.now - Date.parse(now)) / 1000);
	const stretched = seconds > 0 ? 1 + passed / seconds : 1;
	for (const svg of timeline.querySelectorAll("svg")) svg.setAttribute("viewBox", `0 0 ${1000 * stretched} 14`);
	for (const bar of timeline.querySelectorAll("[data-goes-on]")) {
		bar.setAttribute("width", 1000 * stretched - bar.getAttribute("x"));
	}
	const { duration } = element.constructor;
	for (const figure of timeline.querySelectorAll("[data-seconds]")) {
		// Writing into selected text would end the selection.
		if (getSelection().type === "Range" && getSelection().containsNode(figure, true)) continue;
		figure.firstChild.data = duration(Number(figure.dataset.seconds) + passed);
	}
}

setInterval(moveTimeline, 1_000);

function lookAgain() {
	clearTimeout(lookTimer);
	if (!document.hidden && element.status?.poll_after_ms !== null) lookTimer = setTimeout(refresh, LOOK_AGAIN_MS);
}

async function refresh() {
	if (refreshing || !element.status) return;
	refreshing = true;
	const asked = outline(element.status);
	const page = await fetchPage();
	refreshing = false;
	refreshedAt = Date.now();
	// The element says it; its next status leads back here.
	if (page === SIGNED_OUT) return;
	if (!page) {
		// If the run has ended, no event comes that would refresh the page.
		timer = setTimeout(refresh, retryAfter);
		retryAfter = Math.min(LONGEST_RETRY_MS, 2 * retryAfter);
		return;
	}
	retryAfter = FIRST_RETRY_MS;
	replaceLiveParts(page);
	const icon = page.getElementById("icon")?.getAttribute("href");
	if (icon) document.getElementById("icon").setAttribute("href", icon);
	shownOutline = asked;
	// A status that came during the request may not be on the page.
	if (again) refresh();
	else if (outline(element.status) !== shownOutline) refreshSoon(element.status);
	else lookAgain();
	again = false;
}
