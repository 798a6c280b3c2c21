/**
 * Follows one task: asks for its status, hands each on, and asks again when the server says so.
 */

const TIMEOUT_MS = 10_000;
const LONGEST_WAIT_MS = 15_000;
/** Answers that asking again does not change. */
const REFUSALS = new Set([401, 403, 404, 410]);

/**
 * @param {string} url of the status
 * @param {object} listener
 * @param {(status: object, now: number) => void} listener.onStatus `now` is the server's clock, in ms
 * @param {() => void} listener.onTrouble the last try failed; another will follow
 * @param {(code: number) => void} listener.onRefused the server will not answer; there is no other try
 */
export function follow(url, { onStatus, onTrouble, onRefused }) {
  let failures = 0;

  async function ask() {
    const answer = await request(url);
    if (answer.refused) {
      onRefused(answer.refused);
    } else if (answer.status) {
      failures = 0;
      onStatus(answer.status, answer.now);
      const { poll_after_ms: wait } = answer.status;
      if (wait !== null) setTimeout(ask, wait);
    } else {
      failures += 1;
      onTrouble();
      setTimeout(ask, backoff(failures));
    }
  }
  ask();
}

/** The status with the server's time, or the code of a refusal, or neither after a failure. */
async function request(url) {
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (REFUSALS.has(response.status)) return { refused: response.status };
    if (!response.ok) return {};
    const now = Date.parse(response.headers.get("Date")) || Date.now();
    return { status: await response.json(), now };
  } catch {
    return {};
  }
}

/** Doubles from 1 s, with a random part, so that a restarted server is not asked by all at once. */
function backoff(failures) {
  const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures);
  return wait * (0.75 + Math.random() / 2);
}
