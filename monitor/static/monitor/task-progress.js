/** `<task-progress>`: see docs/progress-bar.md. */

const MOST_IDS = 50;
const TASK_URL = /^(.*\/)([0-9a-f-]{36})\/$/;
const OUT = "You are signed out, or may not do this.";
const GONE = "There is no such task: it was deleted, or is not yours.";
const FINAL = { 401: OUT, 403: OUT, 404: GONE, 410: GONE };

const pollers = new Set();
const wake = () => pollers.forEach((each) => each.plan(0));
addEventListener("visibilitychange", wake);
addEventListener("online", wake);

/** One timer and request a turn. */
class Poller {
	all = new Set();
	failures = 0;
	quiet = 0;

	leave(element) {
		this.all.delete(element);
		if (this.all.size) return;
		clearTimeout(this.timer);
		pollers.delete(this);
	}

	plan(wait) {
		clearTimeout(this.timer);
		if (this.busy || document.hidden || !this.all.size) return;
		this.timer = setTimeout(() => this.turn(), wait);
	}

	async turn() {
		const asked = [...this.all];
		for (const each of asked) each.asked = asked;
		const ids = new Set(asked.map((each) => each.taskId));
		const url = ids.size > 1 ? `${asked[0].list}?ids=${[...ids]}` : asked[0].url;
		const tag = url === this.url && asked.every((each) => each.status) && this.tag;
		this.busy = true;
		const response = await asked[0].fetch(url, tag && { "If-None-Match": tag }).catch(() => ({}));
		const { status: code, ok, headers } = response;
		const body = ok && (await response.json().catch(() => {}));
		for (const each of body?.results ?? []) {
			// A list has no results.
			const whole = each.result_url && (await asked[0].fetch(asked[0].list + each.task_id + "/").catch(() => {}));
			if (whole?.ok) Object.assign(each, await whole.json().catch(() => {}));
		}
		this.busy = false;
		if (body) Object.assign(this, { url, tag: headers.get("ETag") });
		const same = code === 304;
		const failed = !body && !same && !FINAL[code];
		this.quiet = same ? this.quiet + 1 : 0;
		for (const each of asked.filter((one) => one.asked === asked)) {
			const mine = ({ task_id }) => task_id === each.taskId;
			const status = same ? each.status : body?.results ? body.results.find(mine) : body;
			if (failed) each.note("No answer; reconnecting…");
			else if (status) each.receive(status, headers);
			else if (!same) each.stop(FINAL[code] ?? GONE);
			if (this.failures && status) each.note("");
		}
		this.failures = failed ? this.failures + 1 : 0;
		this.plan(this.wait(headers));
	}

	/** As the server asks, or longer. */
	wait(headers) {
		const random = .8 + .4 * Math.random();
		const backoff = Math.min(10_000, 500 * 2 ** this.failures) * random;
		if (this.failures) return Math.max(backoff, 1000 * headers?.get("Retry-After") || 0);
		const asked = Math.min(...[...this.all].map((each) => each.status?.poll_after_ms || 0));
		return Math.max(asked, Math.min(5_000, asked * 1.2 ** this.quiet) * random);
	}
}

const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
:host { display: block; --a: var(--task-accent, light-dark(#2f6f5e, #6fbfa6));
	--b: var(--task-bad, light-dark(#b3261e, #ff9d93)); --m: var(--task-muted, light-dark(#5c665f, #9aa69e)) }
section, li { display: grid; gap: .4em; overflow-wrap: anywhere }
p { display: flex; flex-wrap: wrap; gap: 0 .75em; margin: 0 }
[part=percent], [part=times] { margin-inline-start: auto }
section > p [part=percent] { font-size: var(--task-size) }
[part=state], [part=times] { color: var(--m) }
[part=error] { color: var(--b) }
[data-state=FAILURE] { --a: var(--b) }
[data-state=REVOKED], [data-state=PENDING] { --a: var(--m) }
[part=bar] { height: var(--task-height, .6em); border-radius: 1em; overflow: hidden;
	background: var(--task-track, light-dark(#e2e6df, #2b322d)) }
i { display: block; height: 100%; background: var(--a); border-radius: 1em; transition: width .4s }
ol { padding: 0; margin: 0 }
li { margin-top: .9em; font-size: .9em; --task-height: .3em }
[hidden], p:not(:has(:not(:empty, [hidden]))), div:empty { display: none }
@media (prefers-reduced-motion: reduce) { i { transition: none } }`);

const GAUGE = `
<p><span><b part=name></b> <span part=state></span></span> <span part=percent></span></p>
<div part=bar role=progressbar hidden><i></i></div>
<p><span part=message></span> <span part=times></span></p>
<div part=error></div>`;

const PANEL = `<slot></slot><section part=run tabindex=-1>${GAUGE}
<div part=note role=status></div>
<p><button part=cancel hidden>Cancel</button><button part=retry hidden>Retry</button></p>
<details part=steps hidden><summary part=summary></summary><ol></ol></details></section>`;

class TaskProgress extends HTMLElement {
	static observedAttributes = ["src", "base", "token"];
	status = null;

	constructor() {
		super();
		this.attachShadow({ mode: "open" }).innerHTML = PANEL;
		this.shadowRoot.adoptedStyleSheets = [STYLE];
		this.$("name").parentNode.role = "status";
		for (const name of ["cancel", "retry"]) this.$(name).onclick = () => this.act(name);
	}

	start() {
		const [src, base, token] = ["src", "base", "token"].map((name) => this.getAttribute(name));
		if (this.poller || !this.isConnected || !src) return;
		const { href: url } = new URL(src, base ?? location);
		const [, list = url, taskId] = TASK_URL.exec(url) ?? [];
		const key = `${list} ${token}`;
		const fits = (each) => each.key === key && each.all.size < MOST_IDS;
		const poller = [...pollers].find(fits) ?? Object.assign(new Poller(), { key });
		Object.assign(this, { url, list, taskId, token, poller });
		pollers.add(poller);
		this.note("");
		poller.all.add(this);
		poller.plan(0);
	}

	stop(why) {
		this.asked = false;
		this.poller = this.poller?.leave(this);
		if (why) this.note(why);
	}

	connectedCallback() {
		this.$("steps").open = this.hasAttribute("open");
		if (this.status?.poll_after_ms !== null) this.start();
	}

	disconnectedCallback() {
		this.stop();
	}

	attributeChangedCallback() {
		this.stop();
		this.status = null;
		this.$("steps").lastChild.textContent = "";
		this.start();
	}

	fetch(url, headers, method) {
		const { token } = this;
		return fetch(url, {
			method,
			headers: { ...headers, ...(token && { Authorization: `Token ${token}` }) },
			cache: "no-store",
			signal: AbortSignal.timeout(10_000),
		});
	}

	async act(name) {
		const { url, token } = this;
		const csrf = this.getAttribute("csrf") ?? /\bcsrftoken=([^;]+)/.exec(document.cookie)?.[1];
		const headers = !token && { "X-CSRFToken": csrf };
		const response = await this.fetch(`${url}${name}/`, headers, "POST").catch(() => {});
		const answer = await response?.json().catch(() => {});
		if (url !== this.url) return;
		this.$("run").focus();
		if (response?.ok) this.receive(answer, response.headers);
		this.note(response?.ok ? "" : (answer?.detail ?? "No answer; try again."));
	}

	note(text) {
		this.$("note").textContent = text;
	}

	receive(status, headers) {
		const last = this.status;
		// A retry may be less far.
		const again = ({ attempt }, i) => attempt > (last?.steps[i]?.attempt || attempt);
		this.anew = !last?.poll_after_ms || status.steps.some(again);
		this.status = status;
		this.show(Date.parse(headers.get("Date")) || Date.now());
		if (status === last) return;
		this.tell("progress");
		if (status.poll_after_ms) return this.start();
		this.stop();
		this.tell(status.status === "OK" ? "done" : "failed");
	}

	tell(event) {
		this.dispatchEvent(new CustomEvent(event, { detail: this.status, bubbles: true }));
	}

	$(part, root = this.shadowRoot) {
		return root.querySelector(`[part=${part}]`);
	}

	show(now) {
		const { steps, status, message, poll_after_ms: wait, workflow } = this.status;
		const list = this.$("steps").lastChild;
		this.shadowRoot.firstChild.hidden = true;
		this.fill(this.$("run"), this.status, this.getAttribute("label") ?? workflow, now);
		steps.forEach((step, i) => {
			if (!list.children[i]) list.insertAdjacentHTML("beforeend", `<li>${GAUGE}</li>`);
			this.fill(list.children[i], step, step.name, now);
		});
		const ok = steps.filter((step) => step.status === "OK").length;
		this.$("summary").textContent = `${ok} of ${steps.length} steps done`;
		const child = !steps.length;
		const off = {
			steps: child,
			cancel: child || !wait || message === "cancelling",
			retry: child || status !== "ERROR",
		};
		const shown = this.getAttribute("show")?.split(" ");
		for (const each of this.shadowRoot.querySelectorAll("section > p [part], details")) {
			const part = each.getAttribute("part");
			each.hidden = off[part] || (shown && !shown.includes(part));
		}
	}

	fill(root, { task_id, state, status, completion, message, error, ...times }, name, now) {
		const whole = status === "OK" ? 100 : Math.min(99, completion | 0);
		const bar = this.$("bar", root);
		const percent = this.anew ? whole : Math.max(bar.ariaValueNow, whole);
		const word = {
			PENDING: task_id ? "queued" : "waiting",
			SUCCESS: "done",
			FAILURE: "failed",
			REVOKED: status === "ERROR" ? "cancelled" : "skipped",
		}[state] ?? (message === "cancelling" ? message : "running");
		if (message === word) message = "";
		const texts = { name, state: word, percent: `${percent} %`, message, error, times: timing(times, now) };
		for (const part in texts) {
			const place = this.$(part, root);
			if (place.textContent !== texts[part]) place.textContent = texts[part];
		}
		Object.assign(bar, { ariaLabel: name, ariaValueNow: percent, ariaValueText: `${percent} %, ${word}` });
		bar.hidden = false;
		bar.firstChild.style.width = `${percent}%`;
		root.dataset.state = state;
	}
}

function timing({ started_at: start, finished_at: end, eta_seconds: left }, now) {
	if (!start) return "";
	const elapsed = duration(((Date.parse(end) || now) - Date.parse(start)) / 1000);
	return left == null ? elapsed : `${elapsed} · about ${duration(left)} left`;
}

function duration(seconds) {
	const s = Math.max(0, seconds | 0);
	const m = (s / 60) | 0;
	if (m > 59) return `${(m / 60) | 0} h ${m % 60} min`;
	return m ? `${m} min ${s % 60} s` : `${s} s`;
}

customElements.get("task-progress") ?? customElements.define("task-progress", TaskProgress);
