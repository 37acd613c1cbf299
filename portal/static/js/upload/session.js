// Who is signed in, and the token that every change must carry.
//
// Both may change while files are on their way: somebody signs out and in again in another tab.

const meta = (page, name) => page.querySelector(`meta[name="${name}"]`);

/** The id of the person whose page this is. */
export const person = () => meta(document, "person")?.content ?? "";

export const token = () => meta(document, "csrf-token")?.content ?? "";

/**
 * Ask for this page anew and take over its token. Answers how things stand:
 * "ok", "signed-out", "somebody-else", "busy" (the server answers, but not with the page) or "lost".
 */
export async function check() {
  const { status, page, path } = await present();
  if (!status) return "lost";
  if (status >= 500 || status === 429) return "busy";
  const now = page && meta(page, "person")?.content;
  if (path === "/login" || !now) return "signed-out";
  // Never go on with one person's files in the directory of another.
  if (now !== person()) return "somebody-else";
  meta(document, "csrf-token").content = meta(page, "csrf-token").content;
  return "ok";
}

/** The present page as the server has it now. A document, never markup to insert. */
export function present() {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = 30_000;
    request.addEventListener("loadend", () => {
      const { status, response } = request;
      const path = status ? new URL(request.responseURL).pathname : "";
      resolve({ status, page: status === 200 ? response : null, path });
    });
    request.send();
  });
}
