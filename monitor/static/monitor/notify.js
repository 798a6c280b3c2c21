/**
 * The page of one run: a notification of the browser when the run is over, for who has asked for it. Nobody is asked for
 * the permission before they press the button. The wish is remembered by this browser, for all runs.
 */

import { text } from "./texts.js";

const WISH = "notify-when-done";
/** `<task-progress>` does not poll in a hidden tab, where a notification is most wanted: this looks instead. */
const LOOK_EVERY_MS = 10_000;
const TIMEOUT_MS = 10_000;

const element = document.querySelector("task-progress");
const button = document.querySelector("[data-notify]");
const note = document.querySelector("[data-notify-note]");
const isSupported = "Notification" in window && isSecureContext;

/** Whether this page has seen the run going on: what had ended before is no news. */
let wasGoing = false;
let etag = null;
let timer;

if (isSupported && button) {
	button.addEventListener("click", toggle);
	document.addEventListener("progress", ({ detail }) => follow(detail));
	document.addEventListener("visibilitychange", lookLater);
	if (element.status) follow(element.status);
}

function isWanted() {
	try {
		return Notification.permission === "granted" && localStorage.getItem(WISH) === "yes";
	} catch {
		return false; // the browser keeps nothing
	}
}

function remember(isWish) {
	try {
		if (isWish) localStorage.setItem(WISH, "yes");
		else localStorage.removeItem(WISH);
		return true;
	} catch {
		return false;
	}
}

async function toggle() {
	if (isWanted()) {
		remember(false);
		note.textContent = "";
	} else if ((await Notification.requestPermission()) !== "granted") {
		note.textContent = text("Your browser blocks notifications of this site: its settings can allow them.");
	} else {
		note.textContent = remember(true) ? "" : text("Your browser remembers nothing for this site, so it cannot notify you.");
	}
	show();
}

function show() {
	// Its place is kept while it makes no sense: nothing jumps.
	if (wasGoing) button.setAttribute("aria-pressed", isWanted());
	else button.removeAttribute("aria-pressed");
	lookLater();
}

function follow(status) {
	const isGoing = status.poll_after_ms !== null;
	if (wasGoing && !isGoing && isWanted()) notify(status);
	wasGoing = isGoing;
	show();
}

function notify({ task_id, title, state }) {
	const words = { SUCCESS: text("Done"), FAILURE: text("Failed") };
	try {
		// Several tabs of one run show one notification.
		const notification = new Notification(title, { body: words[state] ?? text("Cancelled"), tag: task_id });
		notification.onclick = () => {
			window.focus();
			notification.close();
		};
	} catch {
		note.textContent = text("This browser lets no page notify you.");
	}
}

function lookLater() {
	clearTimeout(timer);
	if (document.hidden && wasGoing && isWanted()) timer = setTimeout(look, LOOK_EVERY_MS);
}

/** Ask for the status, in the place of the element. */
async function look() {
	try {
		const headers = etag ? { "If-None-Match": etag } : {};
		const signal = AbortSignal.timeout(TIMEOUT_MS);
		const response = await fetch(element.getAttribute("src"), { headers, signal, cache: "no-store" });
		// Signed out, or deleted: the page says so when somebody comes back to it.
		if ([401, 403, 404, 410].includes(response.status)) return;
		if (response.ok) {
			etag = response.headers.get("ETag");
			const status = await response.json();
			// The element may have told it meanwhile.
			if (wasGoing) follow(status);
		}
	} catch {
		// No answer: look again.
	}
	lookLater();
}
