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
	if (page) keepPlaces(() => replaceLiveParts(page));
	schedule(REFRESH_EVERY_MS);
}

/** Rows do not jump: one that has ended keeps its height, and those below a new one glide to their places. */
function keepPlaces(change) {
	const places = new Map();
	for (const row of document.querySelectorAll(".runs > li")) {
		if (row.querySelector("task-progress")) row.style.minBlockSize = `${row.offsetHeight}px`;
		places.set(row, row.offsetTop);
	}
	change();
	if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
	for (const [row, top] of places) {
		const moved = top - row.offsetTop;
		const from = { transform: `translateY(${moved}px)` };
		if (moved && row.isConnected) row.animate([from, { transform: "none" }], { duration: 250, easing: "ease-out" });
	}
}

document.addEventListener("done", scheduleNow);
document.addEventListener("failed", scheduleNow);
document.addEventListener("visibilitychange", scheduleNow);
schedule(REFRESH_EVERY_MS);
