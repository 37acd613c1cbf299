// What survives a closed tab: where the upload of a file stands, so that choosing the file again
// goes on with it.
//
// A file is known by its name, size, date and folders, by whose documents it goes into and by who
// sends it. Kept is only a number made of these, so that nobody else at this browser can read
// names or find the upload; and the server shows an upload to nobody but who began it.

const PREFIX = "portal-upload-";
const DAYS = 3;

/** Files this tab has in hand; the browser's locks tell of other tabs. */
const claimed = new Set();

/** The number by which a file on its way to `owner` is known. FNV-1a, 64 bits. */
export function fingerprint(person, owner, path, file) {
  const facts = JSON.stringify([person, owner, path, file.name, file.size, file.lastModified]);
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(facts)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}

/**
 * Take a file in hand, so that no other tab goes on with the same upload at the same time.
 * Answers whether that worked; `release` gives it back, and so does closing the tab.
 */
export async function claim(key) {
  if (claimed.has(key)) return null;
  claimed.add(key);
  let letGo;
  const held = new Promise((resolve) => {
    letGo = resolve;
  });
  // Without https there are no locks; then only this tab is known.
  const isOurs = await new Promise((resolve) => {
    if (!navigator.locks) return resolve(true);
    navigator.locks.request(PREFIX + key, { ifAvailable: true }, (lock) => {
      resolve(Boolean(lock));
      return lock ? held : undefined;
    });
  });
  const release = () => {
    claimed.delete(key);
    letGo();
  };
  if (isOurs) return release;
  release();
  return null;
}

export function recall(key) {
  const kept = read(PREFIX + key);
  return kept && kept.at > oldest() ? kept.address : "";
}

export function keep(key, address) {
  attempt(() => localStorage.setItem(PREFIX + key, JSON.stringify({ address, at: Date.now() })));
}

export function forget(key) {
  attempt(() => localStorage.removeItem(PREFIX + key));
}

/** Forget what the server has forgotten too. */
export function sweep() {
  attempt(() => {
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith(PREFIX) && !(read(name)?.at > oldest())) localStorage.removeItem(name);
    }
  });
}

const oldest = () => Date.now() - DAYS * 24 * 3600 * 1000;

function read(name) {
  return attempt(() => JSON.parse(localStorage.getItem(name)));
}

/** A browser may forbid its storage, or have no room in it: then nothing is remembered. */
function attempt(what) {
  try {
    return what();
  } catch {
    return null;
  }
}
