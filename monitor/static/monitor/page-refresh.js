/** Bring an open page up to date: ask the server for it again, and replace the parts that have changed. */

// Where static files have hashed names, pages still import this file by its plain name. A browser may use an older
// copy for a while after an upgrade, so what is exported should stay compatible with the version before.

const TIMEOUT_MS = 10_000;

/** @returns {Promise<Document|null>} this page as the server renders it now; null when it does not answer */
export async function fetchPage() {
	try {
		const response = await fetch(location.href, { signal: AbortSignal.timeout(TIMEOUT_MS) });
		// After a redirect it is another page, such as the login page.
		if (!response.ok || response.redirected) return null;
		return new DOMParser().parseFromString(await response.text(), "text/html");
	} catch {
		return null;
	}
}

/** Replace the elements with `data-live` that differ, except one that has the focus. */
export function replaceLiveParts(freshPage) {
	for (const current of document.querySelectorAll("[data-live]")) {
		const fresh = freshPage.getElementById(current.id);
		const hasFocus = current.contains(document.activeElement);
		if (fresh && !hasFocus && !fresh.isEqualNode(current)) current.replaceWith(fresh);
	}
}
