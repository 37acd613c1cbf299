// The way of one file, from its announcement to the stored document, as far as it gets in one go.

import { keep, forget, recall, fingerprint, claim } from "./remembered.js";
import { person } from "./session.js";
import { Lost, Stopped, append, create, facts, head } from "./tus.js";

/** Up to this size a file goes in one request. */
export const SMALL = 8 * 1024 * 1024;
/** Larger ones go in parts: of what a proxy has buffered when it dies, at most this is sent again. */
const PART = 32 * 1024 * 1024;
/** How often a server may stumble over a file before its person is told. */
const STUMBLES = 5;
/** Rules about the file itself: it would be refused again. */
const FINAL = new Set(["too_large", "type_refused", "name", "document_gone"]);
const NO_DOCUMENT = "The document is not there any more. If it is in the trash, restore it and try again.";

/**
 * Carry `task` on from where it stands. `tell` hears of bytes: `at(offset)` where it goes on,
 * `sent(loaded)` while they are on their way, `landed(offset)` when the server has them.
 *
 * Resolves to `{ kind }`: "stored" (document), "same-name" (taken), "refused" (why), "token",
 * "signed-out", "lost" or "busy" (seconds); the last four mean: later. Rejects with `Stopped`.
 */
export async function carry(task, signal, tell) {
  try {
    return await attempt(task, signal, tell);
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    if (await isUnreadable(task.file)) {
      return refused("It cannot be read any more. It may have been moved or changed: choose it again.", true);
    }
    return { kind: "lost" };
  }
}

/** Forget where `task` stands: the next try begins anew. */
export function startOver(task) {
  if (task.key) forget(task.key);
  task.address = "";
}

async function attempt(task, signal, tell) {
  let offset = await whereItStopped(task, signal);
  if (typeof offset !== "number") return offset;
  tell.at(offset);
  if (!task.address) {
    const answer = await announce(task, signal, tell);
    if (answer.status === 409 && task.isUncertain && (await isTheSame(task.file, answer.taken))) {
      return stored(task, { document: answer.taken });
    }
    if (answer.status !== 201) return judge(task, answer);
    task.tries = 0;
    if (answer.document) return stored(task, answer);
    task.address = answer.location;
    if (signal.aborted) throw new Stopped();
    if (task.key) keep(task.key, task.address);
    offset = answer.offset ?? 0;
    tell.landed(offset);
  }
  return sendRest(task, offset, signal, tell);
}

/** The offset to go on from: of an upload that is known; else 0. Or why that cannot be told now. */
async function whereItStopped(task, signal) {
  if (!task.address) await remember(task);
  if (!task.address) return 0;
  const answer = await head(task.address, { signal });
  if (answer.status === 200 && answer.length === task.size) {
    if (answer.document) return stored(task, answer);
    return answer.offset;
  }
  if (answer.status === 200 || answer.status === 404 || answer.status === 410) {
    startOver(task);
    return 0;
  }
  return judge(task, answer);
}

/** Find out whether this very file was on its way before, and remember it from now on. */
async function remember(task) {
  if (task.size <= SMALL || task.release) return;
  const { owner, folder, document } = task.batch;
  // At the top a file is known by what it was before there were folders: it may be on its way.
  const place = folder ? [folder, task.path] : task.path;
  const key = fingerprint(person(), owner, document ? { document } : place, task.file);
  task.release = await claim(key);
  task.key = task.release ? key : "";
  if (!task.key) return;
  task.address = recall(key);
}

async function announce(task, signal, tell) {
  const { batch, path, sameName } = task;
  // In two steps, whatever its size: only where it has an address can be asked, after an answer
  // was lost, whether it is a version already.
  if (batch.document) return create(task.size, { filename: task.name, document: batch.document }, {});
  const metadata = { filename: task.name, path, folder: batch.folder, owner: batch.owner, note: batch.note, same_name: sameName };
  // Without its content it is over in a moment, and is waited for even when it is stopped: only
  // who knows the address can give the upload up, or go on with it.
  if (task.size > SMALL) return create(task.size, metadata, {});
  try {
    return await create(task.size, metadata, { signal, body: task.file, progress: tell.sent });
  } catch (error) {
    // It may have been stored, and only the answer was lost.
    if (error instanceof Lost) task.isUncertain = true;
    throw error;
  }
}

async function sendRest(task, offset, signal, tell) {
  for (;;) {
    const from = offset;
    const body = task.file.slice(from, from + PART);
    const progress = (loaded) => tell.sent(from + Math.min(loaded, body.size));
    const answer = await append(task.address, from, { signal, body, progress });
    if (answer.status !== 204) return judge(task, answer);
    task.tries = 0;
    offset = answer.offset;
    tell.landed(offset);
    if (answer.document || offset >= task.size) return stored(task, answer);
  }
}

function stored(task, answer) {
  if (task.key) forget(task.key);
  return { kind: "stored", document: answer.document };
}

/** What an answer that is no success means for the file. */
function judge(task, { status, reason, taken, words, retryAfter }) {
  if (status === 401) return { kind: "signed-out" };
  // It waits there until the document is restored.
  if (reason === "document_trashed") return refused(words, false);
  if (status === 404 && task.batch.document && !task.address) return refused(NO_DOCUMENT, false);
  if (status === 409 && reason === "same_name") {
    startOver(task);
    return { kind: "same-name", taken };
  }
  // Somebody else (a request that is still dying) writes there, or the offset has moved.
  if (status === 409 || status === 423) return { kind: "busy", seconds: 0 };
  if (status === 429 || (status > 500 && status !== 507)) return { kind: "busy", seconds: retryAfter };
  if (reason === "incomplete") return { kind: "lost" };
  task.tries += 1;
  if (status === 400 && task.tries < 3) return { kind: "token" };
  if (status === 500 && task.tries < STUMBLES) return { kind: "busy", seconds: retryAfter };
  // It waits there for room, and can be gone on with.
  if (status === 507) return refused(words, false);
  if ((status === 404 || status === 410) && reason !== "document_gone" && task.address && task.tries < STUMBLES) {
    startOver(task);
    return { kind: "busy", seconds: 0 };
  }
  startOver(task);
  return refused(words || "The portal could not take this file. Try again in a moment.", FINAL.has(reason));
}

const refused = (why, isFinal) => ({ kind: "refused", why, isFinal });

/** Whether the document at `address` is this very file. Told by its hash, where browsers know it. */
async function isTheSame(file, address) {
  if (!address || !crypto.subtle) return false;
  const { sha256 } = await facts(address);
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return sha256 === Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function isUnreadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return false;
  } catch {
    return true;
  }
}
