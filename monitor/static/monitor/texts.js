/** The texts of the page's scripts in the page's language. `task-progress.js`, which has no imports, does the same. */

const TEXTS = JSON.parse(document.getElementById("task-texts")?.textContent ?? "{}");

/** A text in the page's language, with values in the places of its `{names}`. */
export function text(english, values = {}) {
	return (TEXTS[english] ?? english).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}
