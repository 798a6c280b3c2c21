/** Bring an open page up to date: ask the server for the parts that have changed, and put them in place. */

// Where static files have hashed names, pages still import this file by its plain name. A browser may use an older
// copy for a while after an upgrade, so what is exported should stay compatible with the version before.

const TIMEOUT_MS = 10_000;
const REFRESH_EVERY_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;
/** What `fetchPage` returns when the server asks for a login. */
export const SIGNED_OUT = Symbol("signed out");

/** The parts that the page shows. What is in a closed `<details>` can wait until that is opened. */
function liveParts() {
	const parts = [...document.querySelectorAll("[data-live]")];
	return parts.filter((part) => !part.querySelector("details[data-lazy]:not([open])"));
}

/**
 * @returns {Promise<Document|SIGNED_OUT|null>} the parts that have changed, of this page as the server renders it now;
 * null when it does not answer
 */
export async function fetchPage() {
	const shown = liveParts().map((part) => `${part.id}=${part.dataset.live}`);
	try {
		const response = await fetch(location.href, {
			headers: { "Live-Parts": shown.join(" ") },
			redirect: "manual",
			signal: AbortSignal.timeout(TIMEOUT_MS),
		});
		if (response.type === "opaqueredirect") return SIGNED_OUT;
		if (!response.ok) return null;
		return new DOMParser().parseFromString(await response.text(), "text/html");
	} catch {
		return null;
	}
}

/** Update the elements with `data-live` that are in `freshPage`. */
export function replaceLiveParts(freshPage) {
	const focused = document.activeElement;
	const part = focused?.closest("[data-live]");
	const row = focused?.closest("[data-key]");
	const nextRow = row?.nextElementSibling ?? row?.previousElementSibling;
	updateLiveParts(freshPage);
	if (!part || focused.isConnected) return;
	// What had the focus is gone: without this, the focus would move to the top of the page.
	part.tabIndex = -1;
	((nextRow?.isConnected && nextRow.querySelector("a")) || part).focus({ preventScroll: true });
}

function updateLiveParts(freshPage) {
	for (const fresh of freshPage.querySelectorAll("[data-live]")) {
		const current = document.getElementById(fresh.id);
		if (current?.id === "notices") updateNotices(current, fresh);
		else if (current) update(current, fresh);
	}
}

/**
 * Keep the live parts of this page up to date, while somebody sees it.
 * @param {(page: Document) => void} apply puts the parts in place
 * @returns {() => void} refreshes at once
 */
export function keepFresh(apply = replaceLiveParts) {
	let timer;
	let refreshing = false;
	let wait = REFRESH_EVERY_MS;

	function schedule(milliseconds) {
		clearTimeout(timer);
		if (!document.hidden) timer = setTimeout(refresh, milliseconds);
	}

	async function refresh() {
		if (refreshing) return;
		refreshing = true;
		const page = await fetchPage();
		refreshing = false;
		showSignedOut(page === SIGNED_OUT);
		// Somebody may sign in in another tab: this one asks again when it is shown.
		if (page === SIGNED_OUT) return;
		if (page) apply(page);
		wait = page ? REFRESH_EVERY_MS : Math.min(LONGEST_WAIT_MS, 2 * wait);
		schedule(wait);
	}

	const refreshNow = () => schedule(0);
	document.addEventListener("visibilitychange", refreshNow);
	addEventListener("focus", refreshNow);
	schedule(wait);
	return refreshNow;
}

/** Say that the session is over, with a way to go on. */
function showSignedOut(isSignedOut) {
	const shown = document.getElementById("signed-out");
	if (!isSignedOut) shown?.remove();
	if (!isSignedOut || shown) return;
	const notice = document.getElementById("signed-out-notice").content.cloneNode(true);
	document.querySelector("main").append(notice);
}

/** A notice comes and goes without moving what is below it. */
function updateNotices(current, fresh) {
	const [shown, next] = [current.firstElementChild, fresh.firstElementChild];
	current.dataset.live = fresh.dataset.live;
	if (next && !shown) next.classList.add("late");
	if (next && shown?.classList.contains("late")) return;
	if (!next && shown && !shown.classList.contains("late")) shown.textContent = fresh.dataset.gone;
	else update(current, fresh);
}

/** Attributes that the server does not know: whether `<details>` is unfolded, and what scripts have set. */
const KEPT = ["open", "style", "tabindex"];

/**
 * Make an element equal to another, and keep every node that may stay: so the focus, a selection, and what is unfolded
 * stay too. Children with `data-key` are found by it.
 */
function update(current, fresh) {
	for (const { name } of [...current.attributes]) {
		if (!fresh.hasAttribute(name) && !KEPT.includes(name)) current.removeAttribute(name);
	}
	for (const { name, value } of fresh.attributes) {
		if (!KEPT.includes(name) && current.getAttribute(name) !== value) current.setAttribute(name, value);
	}
	let next = current.firstChild;
	for (const child of [...fresh.childNodes]) {
		const kept = match(child, next, current);
		if (!kept) {
			current.insertBefore(child, next);
			continue;
		}
		if (kept === next) next = next.nextSibling;
		else current.insertBefore(kept, next);
		if (kept.nodeType !== Node.ELEMENT_NODE) {
			if (kept.data !== child.data) kept.data = child.data;
		} else if (kept.localName !== "task-progress") {
			// A `<task-progress>` looks after itself.
			update(kept, child);
		}
	}
	while (next) {
		const gone = next;
		next = next.nextSibling;
		gone.remove();
	}
}

/** The node that `fresh` may be written into: the one with its key, else the next one if it is of the same kind. */
function match(fresh, next, parent) {
	const key = fresh.dataset?.key;
	if (key) return [...parent.children].find((child) => child.dataset.key === key);
	return next && !next.dataset?.key && next.nodeName === fresh.nodeName && next.id === fresh.id ? next : null;
}
