// The client's side of tus 1.0.0 (https://tus.io/protocols/resumable-upload): one request each.

import { token } from "./session.js";

const ADDRESS = "/api/v1/uploads";
const PIECE = "application/offset+octet-stream";
/** So long nothing may move before the connection counts as lost; and before the last answer. */
const STALLED_SECONDS = 60;
const ANSWER_SECONDS = 300;

/** No answer came: the connection or the server is away, or the file can no longer be read. */
export class Lost extends Error {}
/** The person stopped it. */
export class Stopped extends Error {}

/** Announce an upload, with its whole content as `body` if that is small. */
export function create(length, metadata, options) {
  const pairs = Object.entries(metadata).filter(([, value]) => value);
  const headers = {
    "Upload-Length": String(length),
    "Upload-Metadata": pairs.map(([key, value]) => `${key} ${base64(value)}`).join(","),
  };
  if (options.body) headers["Content-Type"] = PIECE;
  return ask("POST", ADDRESS, headers, options);
}

/** How far an upload has come. */
export function head(address, options) {
  return ask("HEAD", address, {}, options);
}

/** Send what comes at `offset`. What has arrived stays, even if the answer does not come. */
export function append(address, offset, options) {
  const headers = { "Upload-Offset": String(offset), "Content-Type": PIECE };
  return ask("PATCH", address, headers, options);
}

/** Give an upload up; nothing of it stays. */
export function terminate(address) {
  return ask("DELETE", address, {});
}

/** What the portal says of a document. */
export async function facts(address) {
  return (await ask("GET", address, {})).json;
}

/**
 * One request. `body`, `signal` and `progress` (told the bytes on their way) are optional.
 * Resolves to what was answered, whatever its status; rejects with `Lost` or `Stopped`.
 */
function ask(method, address, headers, { body = null, signal = null, progress = null } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new Stopped());
    const request = new XMLHttpRequest();
    let watch;
    const expect = (seconds) => {
      clearTimeout(watch);
      watch = setTimeout(() => request.abort(), seconds * 1000);
    };
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop, { once: true });
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      expect(loaded < total ? STALLED_SECONDS : ANSWER_SECONDS);
      progress?.(loaded);
    });
    request.addEventListener("load", () => resolve(answerOf(request)));
    request.addEventListener("error", () => reject(new Lost()));
    request.addEventListener("abort", () => reject(signal?.aborted ? new Stopped() : new Lost()));
    request.addEventListener("loadend", () => {
      clearTimeout(watch);
      signal?.removeEventListener("abort", stop);
    });
    request.open(method, address);
    request.setRequestHeader("Tus-Resumable", "1.0.0");
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", token());
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    expect(STALLED_SECONDS);
    request.send(body);
  });
}

function answerOf(request) {
  const header = (name) => request.getResponseHeader(name);
  const number = (name) => (header(name) === null ? null : Number(header(name)));
  const problem = parsed(request.responseText);
  return {
    status: request.status,
    offset: number("Upload-Offset"),
    length: number("Upload-Length"),
    retryAfter: number("Retry-After") || 0,
    location: header("Location") && new URL(header("Location"), location.href).pathname,
    /** The address of the document it has become. */
    document: header("Content-Location"),
    reason: problem.reason ?? "",
    /** The address of the document that has the name already. */
    taken: problem.document ?? "",
    json: problem,
    words: problem.detail || problem.title || "",
  };
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function base64(text) {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}
