/**
 * The form that starts a workflow. When it has files, this sends it, to show the upload's progress, and to keep the
 * chosen files when another field is wrong. Without files the browser sends it.
 */

import { text } from "./texts.js";

const CUT_OFF = text("The upload was cut off. Look at your connection, then press Start again.");
const UNKNOWN = text(
	"The answer was cut off, and the run may have started: look at Runs before you press Start again.",
);

/** In a browser's field for a time there is no zone: it means the reader's own. */
const UTC = "+00:00";

let form = document.querySelector("[data-start]");
/** Whether the whole form was sent: after that the server may have started the run. */
let sent = false;

/** The element of the form that has `data-NAME`. */
function part(name) {
	return form.querySelector(`[data-${name}]`);
}

function fileInputs(root) {
	return [...root.querySelectorAll("input[type=file]")];
}

/** Show times in the reader's time zone, and say so. */
function showLocalTimes() {
	const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
	for (const name of form.querySelectorAll("[data-time-zone]")) name.textContent = text("{zone} (yours)", { zone: timeZone });
	for (const input of form.querySelectorAll("[data-utc]")) {
		const time = new Date(`${input.value}Z`);
		if (isNaN(time)) continue;
		input.value = new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, input.value.length);
	}
}

/** Send times with their offset. */
document.addEventListener("formdata", ({ formData }) => {
	for (const { name, value } of form.querySelectorAll("input[type=datetime-local]")) {
		if (value) formData.set(name, new Date(value).toISOString().replace("Z", UTC));
	}
});

showLocalTimes();

addEventListener("pageshow", ({ persisted }) => {
	// After Back, the browser may show the page as it was when it was left: uploading.
	if (persisted) showEnd("");
});

document.addEventListener("submit", (event) => {
	const hasFiles = fileInputs(form).some((input) => input.files.length);
	if (event.target !== form || !hasFiles) return;
	event.preventDefault();
	// Enter in a field submits the form also while it is being sent.
	if (!part("submit").disabled) send();
});

function send() {
	// Unlike `fetch`, it reports the progress of an upload.
	const request = new XMLHttpRequest();
	request.open("POST", location.href);
	request.responseType = "document";
	request.upload.onprogress = ({ loaded, total }) => showProgress(loaded, total);
	request.onload = () => showAnswer(request);
	request.onerror = () => showEnd(sent ? UNKNOWN : CUT_OFF);
	request.onabort = () => showEnd(sent ? UNKNOWN : "");
	part("upload-stop").onclick = () => request.abort();
	part("upload-error").hidden = true;
	part("submit").disabled = true;
	showProgress(0, 0);
	request.send(new FormData(form));
}

function showProgress(loaded, total) {
	const percent = total ? Math.floor((100 * loaded) / total) : 0;
	sent = percent === 100;
	part("upload").hidden = false;
	part("upload").querySelector("progress").value = percent;
	part("upload-text").textContent = sent
		? text("Uploaded; starting the run…")
		: text("Uploading: {done} of {all} MB", { done: megabytes(loaded), all: megabytes(total) });
}

function megabytes(bytes) {
	return (bytes / 1e6).toFixed(1);
}

/** Make the form ready to be sent again, with an error where there is one. */
function showEnd(error) {
	part("upload").hidden = true;
	part("submit").disabled = false;
	part("upload-error").hidden = !error;
	part("upload-error").textContent = error;
}

/** Go to the run's page, or show what is wrong: in the form, or with the text of an error page. */
function showAnswer({ responseURL, response, status }) {
	if (status < 400) {
		location.assign(responseURL);
		return;
	}
	const answeredForm = response?.querySelector("[data-start]");
	if (answeredForm) {
		for (const input of fileInputs(form)) {
			keepFiles(input, answeredForm.querySelector(`[name="${input.name}"]`));
		}
		form.replaceWith(answeredForm);
		form = answeredForm;
		showLocalTimes();
		form.querySelector("#errors")?.focus();
	} else {
		const words = response?.querySelector("main p")?.textContent;
		showEnd(words ?? text("The server answered {status}. Press Start again.", { status }));
	}
}

/** Put the input with the chosen files in the place of the empty one, and take over what that says about errors. */
function keepFiles(input, emptyInput) {
	if (!emptyInput) return;
	for (const name of ["aria-invalid", "aria-describedby"]) {
		if (emptyInput.hasAttribute(name)) input.setAttribute(name, emptyInput.getAttribute(name));
		else input.removeAttribute(name);
	}
	emptyInput.replaceWith(input);
}
