/** The list of runs: new ones come in at the top, and those that have ended show their outcome. */

import { freshPage, redraw } from "./fresh.js";

const EVERY_MS = 5_000;
let timer;
let busy = false;

function plan(wait) {
	clearTimeout(timer);
	if (!document.hidden) timer = setTimeout(look, wait);
}

async function look() {
	if (busy) return;
	busy = true;
	const page = await freshPage();
	busy = false;
	if (page) {
		redraw(page);
		const [list, drawn] = [document, page].map((each) => each.getElementById("list"));
		const [rows, drawnRows] = [list, drawn].map((each) => each.querySelector(".runs"));
		if (rows && drawnRows) merge(rows, [...drawnRows.children]);
		else if (!drawn.isEqualNode(list)) list.replaceWith(drawn);
	}
	plan(EVERY_MS);
}

/** Rows whose run goes on, or is over, as it did or was stay: their bars move, and focus stays. */
function merge(list, drawn) {
	const ids = new Set(drawn.map((row) => row.dataset.run));
	for (const row of [...list.children]) if (!ids.has(row.dataset.run)) row.remove();
	let next = list.firstElementChild;
	for (const row of drawn) {
		const old = list.querySelector(`[data-run="${row.dataset.run}"]`);
		if (!old) list.insertBefore(row, next);
		else if (follows(old) !== follows(row)) old.replaceWith(row);
		next = (old?.isConnected ? old : row).nextElementSibling;
	}
}

const follows = (row) => row.querySelector("task-progress") !== null;

document.addEventListener("done", () => plan(0));
document.addEventListener("failed", () => plan(0));
document.addEventListener("visibilitychange", () => plan(0));
plan(EVERY_MS);
