/** The form of a retry: the inputs are those of the chosen step. What was written for another one is kept for it. */

const written = new Map();
let chosen = null;

// The form comes to a page of a run when that ends.
document.addEventListener("focusin", ({ target }) => {
	const form = target.closest("[data-retry]");
	if (form && chosen === null) chosen = form.elements.step.value;
});
document.addEventListener("change", ({ target }) => {
	const form = target.closest("[data-retry]");
	if (form && target.name === "step") show(form);
});

async function show(form) {
	const { step, inputs } = form.elements;
	const note = form.querySelector("[data-note]");
	written.set(chosen, [inputs.value, note.textContent]);
	const name = step.value;
	chosen = name;
	const [value, said] = written.get(name) ?? (await inputsOf(form, name));
	// Somebody may have chosen another one in the meantime.
	if (chosen !== name) return;
	inputs.value = value;
	note.textContent = said;
}

async function inputsOf(form, name) {
	try {
		const answer = await fetch(`${form.getAttribute("action")}?step=${encodeURIComponent(name)}`);
		const page = new DOMParser().parseFromString(await answer.text(), "text/html");
		return [page.getElementById("retry-inputs").value, page.querySelector("[data-note]").textContent];
	} catch {
		return ["{}", ""];
	}
}
