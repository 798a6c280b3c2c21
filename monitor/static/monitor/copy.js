/** Buttons that copy what `data-copy` says; of a link the whole address. Without a clipboard they stay hidden. */

import { text } from "./texts.js";

const status = document.getElementById("copied");

async function copy({ copy, copied, isLink }) {
	// A screen reader announces a change: the same text again would be none.
	status.textContent = "";
	try {
		await navigator.clipboard.writeText(isLink === undefined ? copy : new URL(copy, location).href);
		status.textContent = copied;
	} catch {
		status.textContent = text("Not copied: the browser does not allow it");
	}
}

// Browsers offer a clipboard only to pages that came over HTTPS, or from this computer.
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
	button.hidden = false;
	button.addEventListener("click", () => copy(button.dataset));
}
