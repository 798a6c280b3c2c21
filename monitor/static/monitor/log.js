/** The page of a log: append the lines that come, find lines by their text, copy them. */

import { text } from "./texts.js";

const EVERY_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;

const log = document.getElementById("log");
const follow = document.getElementById("follow");
const find = document.getElementById("find");
const numbers = new Map();

for (const control of document.querySelectorAll(".search, .follow, #copy-log")) control.hidden = false;
document.getElementById("more-lines")?.remove();
if (!navigator.clipboard) document.getElementById("copy-log").hidden = true;

function element(name, className, text) {
	const made = document.createElement(name);
	if (className) made.className = className;
	made.textContent = text;
	return made;
}

const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const day = { day: "numeric", month: "short", year: "numeric", timeZoneName: "short" };
const timeOfDay = new Intl.DateTimeFormat("en-GB", clock);
const exact = new Intl.DateTimeFormat("en-GB", { ...clock, ...day });

/** Show a time in the zone of the reader. */
function showTime(time) {
	const at = new Date(time.dateTime);
	time.textContent = timeOfDay.format(at);
	time.title = exact.format(at);
}

/** Notice the number of a line; returns how many before it were left out. */
function leftOut(of, number) {
	const gap = numbers.has(of) ? number - numbers.get(of) - 1 : 0;
	numbers.set(of, number);
	return gap;
}

function append(line) {
	if (log.querySelector(`[data-id="${CSS.escape(line.id)}"]`)) return; // lines of the last seconds come again
	const of = `${line.run_id} ${line.step} ${line.item} ${line.attempt}`;
	const gap = leftOut(of, line.number);
	if (gap > 0) log.append(element("li", "gap", text(gap === 1 ? "1 line left out" : "{number} lines left out", { number: gap })));
	const row = element("li", "", "");
	Object.assign(row.dataset, { id: line.id, of, number: line.number, level: line.level });
	const time = element("time", "", "");
	time.dateTime = line.at;
	showTime(time);
	const step = line.item ? `${line.step}[${line.item}]` : line.step;
	const where = element("span", "where", line.attempt > 1 ? `${step} #${line.attempt}` : step);
	row.append(time, " ", element("b", "", line.level), " ", where, " ", element("span", "text", line.text));
	log.append(row);
	mark(row);
}

/** Hide the line unless it has what is looked for. */
function mark(row) {
	row.hidden = !row.textContent.toLowerCase().includes(find.value.toLowerCase());
}

/** @returns {Promise<"more"|"wait"|"ended"|"signed out"|"failed">} what to do next */
async function fetchLines() {
	const address = new URL(log.dataset.src, location);
	address.searchParams.set("after", log.dataset.next);
	const response = await fetch(address, { headers: { Accept: "application/json" } });
	if (response.status === 401 || response.status === 403) return "signed out";
	if (response.status === 404) return "ended";
	if (!response.ok) return "failed";
	const page = await response.json();
	for (const line of page.lines) append(line);
	log.dataset.next = page.next;
	if (page.lines.length) document.getElementById("no-lines").hidden = true;
	if (page.lines.length) toTheEnd();
	if (page.more) return "more";
	return page.ended ? "ended" : "wait";
}

function toTheEnd() {
	if (follow.checked) log.scrollTop = log.scrollHeight;
}

/** Say that the session is over, with a way to go on. */
function showSignedOut(isSignedOut) {
	const shown = document.getElementById("signed-out");
	if (!isSignedOut) shown?.remove();
	if (!isSignedOut || shown) return;
	document.querySelector("main").append(document.getElementById("signed-out-notice").content.cloneNode(true));
}

let timer;
let isAsking = false;

/** Ask, and go on to ask until the run has ended. A tab that nobody sees does not. */
async function poll(wait) {
	clearTimeout(timer);
	if (isAsking || document.hidden) return;
	isAsking = true;
	const next = await fetchLines().catch(() => "failed");
	isAsking = false;
	showSignedOut(next === "signed out");
	log.toggleAttribute("data-ended", next === "ended");
	if (next === "more") await poll(EVERY_MS);
	else if (next === "wait") timer = setTimeout(poll, EVERY_MS, EVERY_MS);
	else if (next === "failed") timer = setTimeout(poll, wait, Math.min(2 * wait, LONGEST_WAIT_MS));
}

for (const time of log.querySelectorAll("time")) showTime(time);
document.getElementById("zone").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const row of log.querySelectorAll("[data-number]")) leftOut(row.dataset.of, Number(row.dataset.number));
find.addEventListener("input", () => log.querySelectorAll("[data-id]").forEach(mark));
document.getElementById("copy-log").addEventListener("click", async () => {
	const shown = [...log.children].filter((row) => !row.hidden).map((row) => row.textContent);
	const status = document.getElementById("copied");
	status.textContent = "";
	try {
		await navigator.clipboard.writeText(shown.join("\n"));
		status.textContent = text("Copied the lines");
	} catch {
		status.textContent = text("Not copied: the browser does not allow it");
	}
});
follow.addEventListener("change", toTheEnd);
// Somebody may have retried the run, or signed in, in another tab.
for (const event of ["visibilitychange", "focus"]) addEventListener(event, () => poll(EVERY_MS));
if (!("ended" in log.dataset)) {
	toTheEnd();
	poll(EVERY_MS);
}
