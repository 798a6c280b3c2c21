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
	if (page) replaceLiveParts(page);
	schedule(REFRESH_EVERY_MS);
}

document.addEventListener("done", scheduleNow);
document.addEventListener("failed", scheduleNow);
document.addEventListener("visibilitychange", scheduleNow);
schedule(REFRESH_EVERY_MS);
