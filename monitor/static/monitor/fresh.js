/** This page as the server would draw it now; null when it does not answer. */
export async function freshPage() {
	try {
		const response = await fetch(location.href, { signal: AbortSignal.timeout(10_000) });
		// A login page, say, is not this page.
		if (!response.ok || response.redirected) return null;
		return new DOMParser().parseFromString(await response.text(), "text/html");
	} catch {
		return null;
	}
}

/** Put in place what is marked as live and has changed; where the focus is, all stays. */
export function redraw(page) {
	for (const old of document.querySelectorAll("[data-live]")) {
		const drawn = page.getElementById(old.id);
		const used = old.contains(document.activeElement);
		if (drawn && !used && !drawn.isEqualNode(old)) old.replaceWith(drawn);
	}
}
