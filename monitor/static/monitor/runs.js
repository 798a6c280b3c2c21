/** The list of runs: new runs appear at the top, and those that have ended show their outcome. */

import { fetchPage, replaceLiveParts } from "./page-refresh.js";

const REFRESH_EVERY_MS = 5_000;
let timer;
let refreshing = false;

function schedule(wait) {
	clearTimeout(timer);
	if (!document.hidden) timer = setTimeout(refresh, wait);
}

function scheduleNow() {
	schedule(0);
}

async function refresh() {
	if (refreshing) return;
	refreshing = true;
	const page = await fetchPage();
	refreshing = false;
	if (page) {
		replaceLiveParts(page);
		replaceList(page);
	}
	schedule(REFRESH_EVERY_MS);
}

/** Merge the rows; where the list is empty, or was, replace it as a whole. */
function replaceList(page) {
	const [current, fresh] = [document, page].map((each) => each.getElementById("list"));
	const [rows, freshRows] = [current, fresh].map((list) => list.querySelector(".runs"));
	if (rows && freshRows) mergeRows(rows, [...freshRows.children]);
	else if (!fresh.isEqualNode(current)) current.replaceWith(fresh);
}

/** Replace a row only when its run has ended or was retried: in the others the bar moves, and the focus stays. */
function mergeRows(rows, freshRows) {
	const freshIds = new Set(freshRows.map((row) => row.dataset.run));
	for (const row of [...rows.children]) {
		if (!freshIds.has(row.dataset.run)) row.remove();
	}
	let next = rows.firstElementChild;
	for (const fresh of freshRows) {
		const current = rows.querySelector(`[data-run="${fresh.dataset.run}"]`);
		let kept = fresh;
		if (!current) rows.insertBefore(fresh, next);
		else if (hasBar(current) !== hasBar(fresh)) current.replaceWith(fresh);
		else kept = current;
		next = kept.nextElementSibling;
	}
}

/** Only the row of a run that has not ended has a bar. */
function hasBar(row) {
	return row.querySelector("task-progress") !== null;
}

document.addEventListener("done", scheduleNow);
document.addEventListener("failed", scheduleNow);
document.addEventListener("visibilitychange", scheduleNow);
schedule(REFRESH_EVERY_MS);
