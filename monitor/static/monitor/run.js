/** The run's page: when the run has moved on, it is drawn anew by the server, the bars apart. */

import { freshPage, redraw } from "./fresh.js";

const SELDOM_MS = 3_000;
const AGAIN_MS = 2_000;
const AGAIN_MOST_MS = 60_000;

const { version, state } = document.querySelector("article").dataset;
const title = document.title.replace(/^\S+ % /, "");
let drawn = { version, outline: null, at: Date.now(), busy: false, again: AGAIN_MS };

/** What changes the page at once: where the run is, and each step of it. */
const outline = ({ state, steps }) => JSON.stringify([state, steps.map((s) => [s.state, s.attempt])]);

document.addEventListener("progress", ({ detail: status }) => follow(status));
// The element may have had its answer, and the last one, before this module was here.
const { status: early } = document.querySelector("task-progress");
if (early) follow(early);

function follow(status) {
	const percent = status.status === "OK" ? 100 : Math.min(99, Math.floor(status.completion));
	document.title = `${percent} % ${title}`;
	drawn.outline ??= String(status.version) === version && status.state === state && outline(status);
	const old = Date.now() - drawn.at > SELDOM_MS && status.poll_after_ms !== null;
	if (old || outline(status) !== drawn.outline) draw(status);
}

async function draw(status) {
	if (drawn.busy) return;
	drawn.busy = true;
	const page = await freshPage();
	drawn.busy = false;
	drawn.at = Date.now();
	if (!page) {
		// The run may have ended, and then nothing else would come.
		setTimeout(() => draw(status), drawn.again);
		drawn.again = Math.min(AGAIN_MOST_MS, 2 * drawn.again);
		return;
	}
	drawn.again = AGAIN_MS;
	redraw(page);
	drawn.outline = outline(status);
	// What came meanwhile was not drawn.
	const { status: latest } = document.querySelector("task-progress");
	if (outline(latest) !== drawn.outline) draw(latest);
}
