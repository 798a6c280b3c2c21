/** The form of a workflow: files go up with a bar, and are kept when a field is wrong. */

let form = document.querySelector("[data-start]");
const part = (name) => form.querySelector(`[data-${name}]`);
const files = (within) => [...within.querySelectorAll("input[type=file]")];
const CUT_OFF = "The upload was cut off. Look at your connection, then press Start again.";
const UNKNOWN = "The answer was cut off, and the run may have started: look at Runs before you press Start again.";
let sent = false;

// Back from the run's page.
addEventListener("pageshow", ({ persisted }) => persisted && stopped(""));

document.addEventListener("submit", (event) => {
	// Without a file there is nothing to wait for, and the browser does the rest.
	if (event.target !== form || !files(form).some((input) => input.files.length)) return;
	event.preventDefault();
	if (!part("submit").disabled) send(new XMLHttpRequest());
});

function send(request) {
	request.open("POST", location.href);
	request.responseType = "document";
	request.upload.onprogress = ({ loaded, total }) => show(loaded, total);
	request.onload = () => answered(request);
	request.onerror = () => stopped(sent ? UNKNOWN : CUT_OFF);
	request.onabort = () => stopped(sent ? UNKNOWN : "");
	part("upload-stop").onclick = () => request.abort();
	part("upload-error").hidden = true;
	part("submit").disabled = true;
	show(0, 0);
	request.send(new FormData(form));
}

function show(loaded, total) {
	const percent = total ? Math.floor((100 * loaded) / total) : 0;
	sent = percent === 100;
	const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
	part("upload").hidden = false;
	part("upload").querySelector("progress").value = percent;
	part("upload-text").textContent = percent < 100
		? `Uploading: ${megabytes(loaded)} of ${megabytes(total)} MB`
		: "Uploaded; starting the run…";
}

function stopped(why) {
	part("upload").hidden = true;
	part("submit").disabled = false;
	part("upload-error").hidden = !why;
	part("upload-error").textContent = why;
}

/** The run's page, or this form again with what is wrong in it, or a page that says what is. */
function answered({ responseURL, response, status }) {
	if (status < 400) {
		location.assign(responseURL);
		return;
	}
	const drawn = response?.querySelector("[data-start]");
	if (drawn) {
		for (const input of files(form)) keep(input, drawn.querySelector(`[name="${input.name}"]`));
		form.replaceWith(drawn);
		form = drawn;
		form.querySelector("[aria-invalid]")?.focus();
	} else {
		const told = response?.querySelector("main p")?.textContent;
		stopped(told ?? `The server answered ${status}. Press Start again.`);
	}
}

/** Put the input that has the file in the place of the one that is drawn, and say of it what that says. */
function keep(input, drawn) {
	if (!drawn) return;
	for (const name of ["aria-invalid", "aria-describedby"]) {
		if (drawn.hasAttribute(name)) input.setAttribute(name, drawn.getAttribute(name));
		else input.removeAttribute(name);
	}
	drawn.replaceWith(input);
}
