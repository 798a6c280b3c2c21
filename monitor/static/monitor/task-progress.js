/**
 * The custom element `<task-progress>`: the progress of one task, with Cancel and Retry.
 *
 * Without imports: people copy it to servers where names in `import` may not be right.
 */

/**
 * A task's status, as the API answers it (docs/api.md).
 * @typedef {object} Status
 */

/** Translations, where the page has them; `lang` is their language. */
const TEXTS = JSON.parse(document.getElementById("task-texts")?.textContent ?? "{}");
/** The `texts` of answers. */
const SAID = { __proto__: null };

const said = (english) => SAID[english] ?? english;

function text(english, values) {
	return fill(TEXTS[english] ?? english, values);
}

function fill(words, values) {
	return words.replace(/{(\w+)}/g, (place, name) => number(values?.[name] ?? place));
}

const SIGNED_OUT = text("You are signed out, or may not do this.");
const NO_SUCH_TASK = text("There is no such task: it was deleted, or is not yours.");
/** Answers after which it makes no sense to ask again. */
const REFUSALS = { 401: SIGNED_OUT, 403: SIGNED_OUT, 404: NO_SUCH_TASK, 410: NO_SUCH_TASK };

// ---- Polling ----

/** The most ids that the API takes in one request. */
const MOST_IDS = 50;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 10_000;
const UNCHANGED_GROWTH = 1.2;
const LONGEST_UNCHANGED_WAIT_MS = 5_000;

/**
 * What an element gives to its poller. Each `start()` makes a new one: an answer to an earlier one is dropped.
 * @typedef {object} Subscriber
 * @property {string} url of the status
 * @property {string|undefined} taskId if the address is of the form `/tasks/ID/`
 * @property {Status|null} status the last one
 * @property {(status: Status, headers: Headers) => void} receive
 * @property {(words: string) => void} note shows a sentence about the connection
 * @property {(why: string) => void} refuse ends the polling until somebody comes back
 */

/** The pollers that have subscribers. */
const pollers = new Set();

/** Polls for all elements with the same API and token: one request at a time. */
class Poller {
	subscribers = new Set();
	#timer;
	#requesting = false;
	#failures = 0;
	#unchanged = 0;
	#lastUrl;
	#etag;

	/** A poller with room for one more subscriber. */
	static find(list, token) {
		for (const poller of pollers) {
			const same = poller.list === list && poller.token === token;
			if (same && poller.subscribers.size < MOST_IDS) return poller;
		}
		return new Poller(list, token);
	}

	/**
	 * @param {string} list address of the list of tasks, with a slash at its end
	 * @param {string|null} token null to use the session
	 */
	constructor(list, token) {
		this.list = list;
		this.token = token;
	}

	add(subscriber) {
		pollers.add(this);
		this.subscribers.add(subscriber);
		this.schedule(0);
	}

	remove(subscriber) {
		this.subscribers.delete(subscriber);
		if (this.subscribers.size) return;
		clearTimeout(this.#timer);
		pollers.delete(this);
	}

	/** Make the next request after `wait` milliseconds. */
	schedule(wait) {
		clearTimeout(this.#timer);
		// The end of a request schedules the next one, and a tab that is shown again schedules one at once.
		if (this.#requesting || document.hidden || !this.subscribers.size) return;
		this.#timer = setTimeout(() => this.#poll(), wait);
	}

	async #poll() {
		const asked = [...this.subscribers];
		const ids = new Set(asked.map((subscriber) => subscriber.taskId));
		const url = ids.size > 1 ? `${this.list}?ids=${[...ids]}` : asked[0].url;
		// A 304 says nothing to a subscriber that has no status yet.
		const known = url === this.#lastUrl && asked.every((subscriber) => subscriber.status);

		this.#requesting = true;
		const headers = known && this.#etag ? { "If-None-Match": this.#etag } : {};
		const response = await request(url, { token: this.token, headers });
		const body = response?.ok ? await json(response) : undefined;
		await this.#addResults(body?.results ?? []);
		this.#requesting = false;

		if (body) {
			this.#lastUrl = url;
			this.#etag = response.headers.get("ETag");
		}
		const unchanged = response?.status === 304;
		const refusal = REFUSALS[response?.status];
		const failed = !body && !unchanged && !refusal;
		for (const subscriber of asked) {
			if (!this.subscribers.has(subscriber)) continue;
			const status = unchanged ? subscriber.status : statusOf(subscriber.taskId, body);
			if (failed) subscriber.note(text("No answer; reconnecting…"));
			else if (status) subscriber.receive(status, response.headers);
			else subscriber.refuse(refusal ?? NO_SUCH_TASK);
			// Other notes, such as why a click was refused, stay.
			if (status && this.#failures) subscriber.note("");
		}
		this.#unchanged = unchanged ? this.#unchanged + 1 : 0;
		this.#failures = failed ? this.#failures + 1 : 0;
		this.schedule(this.#wait(response?.headers));
	}

	/** The API leaves results out of lists: get those of the tasks that ended OK. */
	async #addResults(statuses) {
		for (const status of statuses) {
			if (!status.result_url) continue;
			const response = await request(`${this.list}${status.task_id}/`, { token: this.token });
			if (response?.ok) Object.assign(status, await json(response));
		}
	}

	/** Milliseconds until the next request; longer while nothing changes. */
	#wait(headers) {
		// Random, so that many browsers do not ask in step.
		const random = 0.8 + 0.4 * Math.random();
		if (this.#failures) {
			const backoff = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures) * random;
			const retryAfter = 1000 * headers?.get("Retry-After") || 0;
			return Math.max(backoff, retryAfter);
		}
		// A subscriber without a status came during the request, and waits for nothing.
		const waits = [...this.subscribers].map((subscriber) => subscriber.status?.poll_after_ms || 0);
		const wait = Math.min(...waits);
		const longer = Math.min(LONGEST_UNCHANGED_WAIT_MS, wait * UNCHANGED_GROWTH ** this.#unchanged);
		return Math.max(wait, longer * random);
	}
}

/** The status of a task in an answer. */
function statusOf(taskId, body) {
	return body?.results ? body.results.find((status) => status.task_id === taskId) : body;
}

/** What elements do when somebody comes back to the page. */
const lookers = new Set();

function pollNow() {
	for (const look of lookers) look();
	for (const poller of pollers) poller.schedule(0);
}

for (const event of ["visibilitychange", "focus", "online"]) addEventListener(event, pollNow);

// ---- Requests ----

const TIMEOUT_MS = 10_000;
/** Address of the list, and id. */
const TASK_URL = /^(.*\/)([0-9a-f-]{36})\/$/;
const CSRF_COOKIE = /\bcsrftoken=([^;]+)/;

/** The response; undefined when there is no answer. */
function request(url, { token, method, headers }) {
	const authorization = token ? { Authorization: `Token ${token}` } : {};
	const asked = new URL(url);
	if (TEXTS.lang) asked.searchParams.set("lang", TEXTS.lang);
	return fetch(asked, {
		method,
		headers: { ...headers, ...authorization },
		cache: "no-store",
		signal: AbortSignal.timeout(TIMEOUT_MS),
	}).catch(() => undefined);
}

/** The body of a response; undefined when it is not JSON. */
async function json(response) {
	const body = await response.json().catch(() => undefined);
	Object.assign(SAID, body?.texts);
	return body;
}

// ---- Appearance ----

const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
:host {
	display: block;
	/* Mixed with the page's text colour, they can be read where that can be read. */
	--accent-color: var(--task-accent, color-mix(in oklab, #3f9a80 75%, currentColor));
	--bad-color: var(--task-bad, color-mix(in oklab, #e0443a 60%, currentColor));
	--muted-color: var(--task-muted, color-mix(in oklab, currentColor 72%, transparent));
}
section, li { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0.4em; overflow-wrap: anywhere; }
/* No line changes its height, whatever is written into it: what is below would jump. */
p { display: flex; gap: 0 0.75em; align-items: center; min-height: 1lh; margin: 0; }
[part=state], [part=percent], [part=times], [part=count], button { white-space: nowrap; }
[part=times], p > [part=count], [part=count]:is(:empty, [hidden]) + [part=percent] { margin-inline-start: auto; }
[part=message] { flex: 1; min-width: 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
/* These take the place of the message. */
[part=error], [part=note] { flex: 1; }
:is([part=message], [part=error]):has(~ :is([part=error], [part=note]):not(:empty)) { display: none; }
section > p [part=percent] { font-size: var(--task-size); }
/* In one place: at most one of them can be seen. */
span:has(> button) { display: grid; }
button { grid-area: 1 / 1; }
button.senseless { visibility: hidden; }
@media (width < 30em) {
	section > p { flex-wrap: wrap; }
	section > p:has([part=times]:not([hidden])) { flex-direction: column; align-items: stretch; min-height: 3lh; }
	section > p > [part=message] { flex: none; height: 2lh; white-space: normal; }
	section > p > [part=count] { display: none; }
	section > p > [part=percent] { margin-inline-start: auto; }
}
/* In a page that is written from right to left. */
:is([part=state], [part=times], [part=count], [part=percent]) { direction: ltr; unicode-bidi: isolate; }
:is([part=name], [part=message], [part=error], [part=note], summary) { unicode-bidi: plaintext; }
[part=state], [part=times], [part=count] { color: var(--muted-color); }
[part=error] { color: var(--bad-color); }
/* Without this a step would have the colour of the run. monitor.css uses it for the dot. */
[data-state] { --state-color: var(--accent-color); }
[data-state=FAILURE] { --state-color: var(--bad-color); }
[data-state=REVOKED], [data-state=PENDING] { --state-color: var(--muted-color); }
[part=bar] {
	height: var(--task-height, 0.6em);
	border-radius: 1em;
	overflow: hidden;
	background: var(--task-track, color-mix(in oklab, currentColor 15%, transparent));
}
/* Of an unknown whole. */
[part=bar]:not([aria-valuenow]) i { width: 25%; animation: slide 2s ease-in-out infinite alternate; }
@keyframes slide { from { margin-inline-start: 0; } to { margin-inline-start: 75%; } }
i { display: block; height: 100%; background: var(--state-color); border-radius: 1em; transition: width 0.4s; }
ol { padding: 0; margin: 0; }
li { margin-top: 0.9em; font-size: 0.9em; --task-height: 0.3em; }
details details:has(> summary:not([hidden])) { margin-top: 0.9em; }
/* Side by side where there is room. */
summary:not([hidden]) + ol {
	display: grid;
	grid-template-columns: repeat(auto-fill, minmax(min(100%, 18em), 1fr));
	gap: 0 2em;
}
[part=group], [part=more] { cursor: pointer; }
[part=more] { margin-top: 0.9em; }
[hidden], p:not(:has(> :not([hidden]))), :is([part=error], [part=note]):empty { display: none; }
/* Before the first status. */
.blank > :not(p:has([part=note])), .blank:not(:has([part=note]:not(:empty))) { display: none; }
@media (prefers-reduced-motion: reduce) {
	i { transition: none; }
	[part=bar]:not([aria-valuenow]) i {
		width: 100%;
		animation: none;
		background: repeating-linear-gradient(90deg, var(--state-color) 0 1em, transparent 1em 2em);
	}
}
`);

/** The parts of the run, and of each step. Without spaces inside empty parts: `:empty` would not match them. */
function gauge(nameAttributes = "", buttons = "", note = "") {
	return `
<p><span ${nameAttributes}><b part="name"></b> <span part="state"></span></span>
${buttons}<span part="count"></span><span part="percent"></span></p>
<div part="bar" role="progressbar" hidden><i></i></div>
<p><span part="message"></span><span part="error"></span>${note}<span part="times"></span></p>`;
}

const button = (part, words) => `<button part="${part}" hidden>${text(words)}</button>`;
const BUTTONS = `<span>${button("cancel", "Cancel")}${button("retry", "Retry")}</span>`;
const NOTE = '<span part="note" role="status"></span>';

// Screen readers announce the run's name and state, and not each percent.
const CONTENT = `
<slot></slot>
<section part="run" tabindex="-1" class="blank">
	${gauge('role="status"', BUTTONS, NOTE)}
	<details part="steps" hidden><summary part="summary"></summary></details>
</section>`;

// ---- Steps ----

/** More steps are grouped by state. */
const FEW_STEPS = 10;
/** How many of a group are shown at first, and with each click. */
const FIRST_STEPS = 9;
const MORE_STEPS = 100;
/** What needs attention comes first. */
const GROUPS = ["failed", "running", "cancelling", "queued", "waiting", "done", "cancelled", "skipped"];
const UNFOLDED = GROUPS.slice(0, 3);

const GROUP = `<summary part="group"></summary><ol></ol><button part="more">${text("Show more")}</button>`;

/** A run's steps: only those that people see have elements. */
class StepList {
	#root;
	#render;
	/** By the index of the step. */
	#rows = new Map();
	#groups = new Map();

	/** @param render shows a step in its row: `(row, step) => void` */
	constructor(root, render) {
		this.#root = root;
		this.#render = render;
	}

	clear() {
		for (const { element } of this.#groups.values()) element.remove();
		this.#groups.clear();
		this.#rows.clear();
	}

	show(steps) {
		const words = steps.length > FEW_STEPS ? GROUPS : [""];
		for (const word of words) {
			const found = [...steps.entries()].filter(([, step]) => stateWord(step).startsWith(word));
			if (found.length || this.#groups.has(word)) this.#showGroup(word, found, words);
		}
	}

	#showGroup(word, found, words) {
		const group = this.#groups.get(word) ?? this.#add(word, words);
		const { element, limit } = group;
		const [summary, list, more] = element.children;
		group.found = found;
		element.hidden = !found.length;
		summary.textContent = `${number(found.length)} ${text(word)}`;
		summary.hidden = !word;
		more.hidden = !word || found.length <= limit;
		if (!element.open) return;
		const rows = found.slice(0, word ? limit : undefined).map(([index, step]) => this.#row(index, step));
		for (const [place, row] of rows.entries()) {
			if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
		}
		while (list.children.length > rows.length) list.lastChild.remove();
	}

	#add(word, words) {
		const element = document.createElement("details");
		element.innerHTML = GROUP;
		element.open = !word || UNFOLDED.includes(word);
		const group = { element, limit: FIRST_STEPS };
		const showAgain = () => this.#showGroup(word, group.found, words);
		element.ontoggle = showAgain;
		element.querySelector("button").onclick = () => {
			group.limit += MORE_STEPS;
			showAgain();
			// The button may have gone, and the focus with it.
			if (group.found.length <= group.limit) element.firstChild.focus();
		};
		const later = words.slice(words.indexOf(word)).find((each) => this.#groups.has(each));
		this.#root.insertBefore(element, this.#groups.get(later)?.element ?? null);
		this.#groups.set(word, group);
		return group;
	}

	#row(index, step) {
		if (!this.#rows.has(index)) {
			const row = document.createElement("li");
			row.innerHTML = gauge();
			this.#rows.set(index, row);
		}
		const row = this.#rows.get(index);
		this.#render(row, step);
		return row;
	}
}

// ---- The element ----

/**
 * What it holds is shown until the first status has come.
 *
 * No attribute may also be the name of a property: React 19 would set the property instead.
 *
 * @attr {string} src - address of the status, `/tasks/ID/`
 * @attr {string} base - the API's origin, where that is not the page's
 * @attr {string} token - an API token, in place of the session
 * @attr {string} csrf - the CSRF token, where its cookie cannot be read
 * @attr {string} login - address of the page to sign in; without it a note has no link
 * @attr {string} label - the task's name; its title without it
 * @attr {string} show - which of `name state count percent message times steps cancel retry` to show; all without it
 * @attr {boolean} open - begin with the steps unfolded
 *
 * @prop {Status|null} status - the last status
 *
 * @fires progress - a new status has come; `detail` is the status, here and below
 * @fires done - the task ended OK
 * @fires failed - the task failed or was cancelled
 *
 * Its parts and custom properties are in docs/progress-bar.md, and in CONTENT and STYLE.
 */
class TaskProgress extends HTMLElement {
	static observedAttributes = ["src", "base", "token"];

	status = null;
	#url;
	#token;
	#poller = null;
	#subscriber = null;
	/** Whether the page has not called `stop()`. */
	#wanted = true;
	#refused = false;
	/** Somebody may have retried the task, or signed in, in another tab. */
	#look = () => this.#wanted && this.start();
	#steps;
	/** The server's clock is ahead by so many milliseconds. */
	#ahead = 0;
	#ticking;
	/** Whether this status may be behind the last one. */
	#restarted = false;

	constructor() {
		super();
		this.attachShadow({ mode: "open" }).innerHTML = CONTENT;
		this.shadowRoot.adoptedStyleSheets = [STYLE];
		for (const action of ["cancel", "retry"]) this.#part(action).onclick = () => this.#act(action);
		this.#steps = new StepList(this.#part("steps"), (row, step) => this.#renderGauge(row, step, step.title ?? step.name));
	}

	/** Begin to poll, unless it polls already. */
	start() {
		const src = this.getAttribute("src");
		if (this.#poller || !this.isConnected || !src) return;
		this.#url = new URL(src, this.getAttribute("base") ?? location).href;
		this.#token = this.getAttribute("token");
		const [, list = this.#url, taskId] = TASK_URL.exec(this.#url) ?? [];
		this.#wanted = true;
		if (!this.#refused) this.#note("");
		this.#subscriber = this.#subscription(this.#url, taskId);
		this.#poller = Poller.find(list, this.#token);
		this.#poller.add(this.#subscriber);
		// Times run on while nothing else changes.
		this.#ticking = setInterval(() => this.status && !document.hidden && this.#render(), 1_000);
	}

	/** End the polling; what is shown stays. */
	stop() {
		this.#wanted = false;
		this.#unsubscribe();
	}

	#unsubscribe() {
		this.#poller?.remove(this.#subscriber);
		this.#poller = null;
		clearInterval(this.#ticking);
	}

	connectedCallback() {
		lookers.add(this.#look);
		this.#part("steps").open = this.hasAttribute("open");
		// The server gives null when the task has ended.
		if (this.status?.poll_after_ms !== null) this.start();
	}

	disconnectedCallback() {
		lookers.delete(this.#look);
		this.#unsubscribe();
	}

	attributeChangedCallback() {
		this.#unsubscribe();
		this.#refused = false;
		this.status = null;
		this.#steps.clear();
		this.start();
	}

	/** @returns {Subscriber} */
	#subscription(url, taskId) {
		const element = this;
		return {
			url,
			taskId,
			get status() {
				return element.status;
			},
			receive: (status, headers) => this.#receive(status, headers),
			note: (words) => this.#note(words),
			refuse: (why) => {
				this.#unsubscribe();
				this.#refused = true;
				this.#note(why, why === SIGNED_OUT);
			},
		};
	}

	/** Cancel or retry the task. */
	async #act(action) {
		const url = this.#url;
		const token = this.#token;
		const csrf = this.getAttribute("csrf") ?? CSRF_COOKIE.exec(document.cookie)?.[1] ?? "";
		const headers = token ? {} : { "X-CSRFToken": csrf };
		const response = await request(`${url}${action}/`, { token, method: "POST", headers });
		const answer = response && (await json(response));
		// The answer is about another task when `src` has changed.
		if (url !== this.#url) return;
		// The button that had the focus may go; without this, the focus would move to the page's top.
		this.#part("run").focus();
		if (response?.ok && answer) {
			this.#receive(answer, response.headers);
			this.#note("");
		} else {
			this.#note(said(answer?.detail) ?? text("No answer; try again."), response?.status === 401);
		}
	}

	/** Show a status, and tell the page about it unless it is the last one again. */
	#receive(status, headers) {
		const last = this.status;
		const isNewAttempt = (step, index) => step.attempt > (last?.steps[index]?.attempt || step.attempt);
		this.#restarted = !last?.poll_after_ms || status.steps.some(isNewAttempt);
		this.status = status;
		// The times in a status are from this clock too: whole seconds, rounded down.
		const serverTime = Date.parse(headers.get("Date"));
		if (serverTime && Math.abs(serverTime + 500 - this.now) > 1_000) this.#ahead = serverTime + 500 - Date.now();
		this.#render();
		if (this.#refused) this.#note("");
		this.#refused = false;
		if (!status.poll_after_ms) this.#unsubscribe();
		// The same end may be received again, when somebody comes back to the page.
		if (status === last || (status.finished_at && status.finished_at === last?.finished_at)) return;
		this.#dispatch("progress");
		if (status.poll_after_ms) {
			// After the end of a task the polling is over; after a retry it begins again.
			this.start();
		} else {
			this.#dispatch(status.status === "OK" ? "done" : "failed");
		}
	}

	#dispatch(name) {
		this.dispatchEvent(new CustomEvent(name, { detail: this.status, bubbles: true }));
	}

	static duration = duration;
	static text = text;

	/** The server's time, in milliseconds. */
	get now() {
		return Date.now() + this.#ahead;
	}

	/** In one English word. */
	get state() {
		return stateWord(this.status);
	}

	/** What stands beside the bar. */
	get percent() {
		return this.#part("percent").textContent;
	}

	#part(name, root = this.shadowRoot) {
		return root.querySelector(`[part="${name}"]`);
	}

	#note(words, needsLogin) {
		const note = this.#part("note");
		note.textContent = words;
		const address = this.getAttribute("login");
		if (needsLogin && address) {
			note.insertAdjacentHTML("beforeend", ` <a>${text("Sign in")}</a>`);
			note.lastChild.href = address;
		}
	}

	#render() {
		const { steps, workflow, title = workflow } = this.status;
		this.shadowRoot.querySelector("slot").hidden = true;
		this.#part("run").classList.remove("blank");
		this.#renderGauge(this.#part("run"), this.status, this.getAttribute("label") ?? title);
		this.#steps.show(steps);
		this.#part("summary").textContent = text("{done} of {all} steps done", doneOf(steps));
		this.#hideParts();
	}

	/** Hide what makes no sense for this status, and what the page does not want. */
	#hideParts() {
		const { steps, status, message, poll_after_ms } = this.status;
		// Only runs have steps; a child cannot be cancelled or retried by itself.
		const isChild = !steps.length;
		const senseless = {
			cancel: !poll_after_ms || message === "cancelling",
			retry: status !== "ERROR",
		};
		const wanted = this.getAttribute("show")?.split(" ");
		for (const element of this.shadowRoot.querySelectorAll("section > p [part], section > details")) {
			const name = element.getAttribute("part");
			if (ALWAYS.includes(name)) continue;
			element.hidden = (isChild && OF_RUNS.includes(name)) || (wanted && !wanted.includes(name));
			element.classList.toggle("senseless", Boolean(senseless[name]));
		}
	}

	/** Show the status of a run or a step in its part of the page. */
	#renderGauge(root, status, name) {
		const bar = this.#part("bar", root);
		const reached = wholePercent(status);
		// Answers may overtake each other: the bar does not run back.
		const percent = this.#restarted ? reached : Math.max(bar.ariaValueNow, reached);
		const unknown = isUnknown(status);
		const count = countOf(status);
		const state = stateWord(status);
		const isSaid = [state, countOf(status, fill)].includes(status.message);
		const texts = {
			name,
			state: text(state),
			count: unknown ? "" : count,
			percent: unknown ? countOf({ ...status, steps: [] }) : `${percent} %`,
			message: waitingText(status, this.now) || (isSaid ? "" : said(status.message)),
			// The run says it already.
			error: status !== this.status && this.status.error?.endsWith(status.error) ? "" : said(status.error),
			times: timing(status, this.now),
		};
		for (const [part, words] of Object.entries(texts)) {
			const element = this.#part(part, root);
			// A screen reader may announce an equal text again.
			if (element.textContent !== (words ?? "")) element.textContent = words;
			// It may be cut off.
			if (part === "message") element.title = words;
		}
		bar.ariaLabel = name;
		// Without a value it is indeterminate, for screen readers too.
		bar.ariaValueNow = unknown ? null : percent;
		bar.ariaValueText = unknown ? null : `${percent} %, ${text(state)}`;
		bar.hidden = false;
		bar.firstChild.style.width = unknown ? "" : `${percent}%`;
		root.dataset.state = status.state;
	}
}

// ---- Texts ----

/** What a page cannot leave out, and what a child does not have. */
const ALWAYS = ["error", "note"];
const OF_RUNS = ["steps", "cancel", "retry"];

/** 100 only for what ended OK. */
function wholePercent({ status, completion }) {
	return status === "OK" ? 100 : Math.min(99, Math.floor(completion ?? 0));
}

/** Whether it runs, and nobody knows how far it is. */
function isUnknown({ state, total, completion }) {
	return (state === "STARTED" || state === "PROGRESS") && total === null && !completion;
}

/** `4 of 10`, `54 done`, or `1 of 3 steps`; empty where nothing was counted. */
function countOf({ iteration, total, steps }, say = text) {
	if (steps?.length > 1) return say("{done} of {all} steps", doneOf(steps));
	if (total !== null) return say("{done} of {all}", { done: iteration, all: total });
	return iteration ? say("{done} done", { done: iteration }) : "";
}

function doneOf(steps) {
	return { done: steps.filter(({ status }) => status === "OK").length, all: steps.length };
}

function number(value, digits = 0) {
	return value.toLocaleString(TEXTS.lang ?? "en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A status in one word. */
function stateWord({ state, status, task_id, message, optional, awaits }) {
	switch (state) {
		case "PENDING":
			return task_id ? "queued" : "waiting";
		case "SUCCESS":
			return "done";
		case "FAILURE":
			return optional ? "failed, optional" : "failed";
		case "REVOKED":
			return status === "ERROR" ? "cancelled" : "skipped";
		default:
			return message === "cancelling" ? "cancelling" : awaits ? "waiting" : "running";
	}
}

/** `func_1 waits for the next try, in 8 s` */
function waitingText({ waits_for, waits_until, steps, awaits }, now) {
	if (!waits_for) return "";
	const what = steps?.find((step) => stateWord(step) === "queued")?.title ?? "";
	const whole = text("{what} waits for {waited}", { what, waited: said(waits_for) }).trim();
	if (!waits_until) return whole;
	const left = duration((Date.parse(waits_until) - now) / 1000);
	return text(awaits ? "{text}, for another {time}" : "{text}, in {time}", { text: whole, time: left });
}

/** `5 s · about 20 s left`; how long it waits, before the start. `now` is in milliseconds. */
function timing({ started_at, finished_at, queued_at, created_at, eta_seconds, ...status }, now) {
	const since = started_at ?? (stateWord(status) === "queued" ? queued_at ?? created_at : null);
	const end = Date.parse(finished_at) || now;
	if (!since || Date.parse(since) > end) return "";
	const elapsed = (finished_at ? precise : duration)((end - Date.parse(since)) / 1000);
	if (eta_seconds == null) return elapsed;
	return text("{elapsed} · about {time} left", { elapsed, time: duration(eta_seconds) });
}

/** `12 s`, `3 min 5 s` or `2 h 7 min`. */
function duration(seconds) {
	const wholeSeconds = Math.max(0, Math.floor(seconds));
	const minutes = Math.floor(wholeSeconds / 60);
	const hours = Math.floor(minutes / 60);
	if (hours) return `${hours} h ${minutes % 60} min`;
	return minutes ? `${minutes} min ${wholeSeconds % 60} s` : `${wholeSeconds} s`;
}

/** With tenths below 10 s. */
function precise(seconds) {
	if (seconds >= 9.95) return duration(seconds);
	return `${seconds < 0.05 ? "< " : ""}${number(Math.max(0.1, seconds), 1)} s`;
}

// A page may load the module from two addresses, and a name can be defined once only.
if (!customElements.get("task-progress")) customElements.define("task-progress", TaskProgress);
