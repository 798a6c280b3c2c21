/** The list of runs: new runs appear at the top, and those that have ended show their outcome. */

import { keepFresh, replaceLiveParts } from "./page-refresh.js";

const refreshNow = keepFresh((page) => keepPlaces(() => replaceLiveParts(page)));

document.addEventListener("done", refreshNow);
document.addEventListener("failed", refreshNow);

const tickAll = document.querySelector("[data-tick-all]");
const boxes = () => [...document.querySelectorAll("input[name=run][form=bulk]")];

if (tickAll) {
	tickAll.dataset.tickAll = "ready";
	tickAll.addEventListener("change", ({ target }) => {
		for (const box of boxes()) box.checked = target.checked;
	});
	document.addEventListener("change", ({ target }) => {
		if (target.name === "run") tickAll.querySelector("input").checked = boxes().every((box) => box.checked);
	});
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
