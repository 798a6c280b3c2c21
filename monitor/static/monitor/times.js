/**
 * Times as people say them, such as "3 min ago". The exact time, in the reader's time zone, is shown when the pointer or
 * the focus is on it. Without this script a page has them in
 * the time zone of the project, with its name.
 */

import { text } from "./texts.js";

const REFRESH_EVERY_MS = 20_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const DAYS_AGO = 7;

const date = { day: "numeric", month: "short", year: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" };
const LANGUAGE = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const day = new Intl.DateTimeFormat(LANGUAGE, date);
const exact = new Intl.DateTimeFormat(LANGUAGE, { ...date, ...clock });

/** The server's clock is ahead by so many milliseconds. */
const ahead = 1_000 * document.body.dataset.now - Date.now();

function relative(time) {
	const passed = Date.now() + ahead - time;
	if (passed < MINUTE) return text("just now");
	if (passed < HOUR) return text("{number} min ago", { number: Math.floor(passed / MINUTE) });
	if (passed < DAY) return text("{number} h ago", { number: Math.floor(passed / HOUR) });
	const days = Math.floor(passed / DAY);
	if (days <= DAYS_AGO) return days === 1 ? text("1 day ago") : text("{number} days ago", { number: days });
	return day.format(time);
}

function show() {
	for (const element of document.querySelectorAll("time[datetime]")) {
		const time = new Date(element.dateTime);
		const words = relative(time);
		// Every write calls the observer below, which ends here when nothing is left to write.
		if (element.textContent === words && element.dataset.exact) continue;
		element.textContent = words;
		element.dataset.exact = exact.format(time);
		// A name from the author is not allowed on a time; a description is.
		element.setAttribute("aria-description", element.dataset.exact);
		element.tabIndex = 0;
	}
}

show();
setInterval(() => document.hidden || show(), REFRESH_EVERY_MS);
document.addEventListener("visibilitychange", show);
// What the server sends anew for an open page has the server's times.
new MutationObserver(show).observe(document.querySelector("main"), {
	childList: true,
	characterData: true,
	subtree: true,
});
