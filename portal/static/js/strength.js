// How strong a password is, said while it is typed. The portal judges, because it knows the rule;
// it keeps nothing of what it is asked. Where it cannot be asked, nothing is shown.

/** After so many milliseconds without a key. */
const PAUSE = 350;
const STEPS = 4;

/** Let `input` show how strong what is typed into it is. */
export function watch(input) {
  const shown = build(input);
  let timer;
  let asking;
  const ask = async () => {
    asking?.abort();
    asking = new AbortController();
    const typed = input.value;
    if (!typed) {
      show(shown, null);
      return;
    }
    try {
      const answer = await fetch(input.dataset.strength, question(input, asking.signal));
      if (answer.status === 429 || answer.status === 503) {
        again((Number(answer.headers.get("Retry-After")) || 2) * 1000);
        return;
      }
      const verdict = answer.ok ? await answer.json() : null;
      if (input.value === typed) show(shown, verdict);
    } catch {
      // Aborted by the next key, or no connection: the form still checks the rule.
      if (input.value === typed) show(shown, null);
    }
  };
  const again = (milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(ask, milliseconds);
  };
  input.addEventListener("input", () => again(PAUSE));
  // Password managers and browsers fill without a key, some before this script runs.
  input.addEventListener("change", () => again(0));
  if (input.value) again(0);
}

function question(input, signal) {
  const form = input.form;
  const body = new URLSearchParams({ password: input.value });
  for (const name of ["name", "email", "site_name"]) {
    const field = form.elements.namedItem(name);
    if (field?.value) body.set(name, field.value);
  }
  const username = form.querySelector("[autocomplete=username]");
  if (username?.value) body.set("email", username.value);
  const headers = { Accept: "application/json", "X-CSRFToken": form.elements.namedItem("csrf_token").value };
  return { method: "POST", body, headers, signal };
}

function build(input) {
  const bar = document.createElement("div");
  bar.className = "strength-bar";
  bar.setAttribute("aria-hidden", "true");
  for (let step = 0; step < STEPS; step += 1) bar.append(document.createElement("span"));
  const words = document.createElement("p");
  words.className = "strength-words";
  // Empty from the start: screen readers say only what changes in a region they know.
  words.setAttribute("role", "status");
  const node = document.createElement("div");
  node.className = "strength";
  node.append(bar, words);
  input.closest(".secret").after(node);
  return { node, bar, words };
}

function show({ node, bar, words }, verdict) {
  node.classList.toggle("is-shown", Boolean(verdict));
  const filled = verdict ? Math.max(1, verdict.score) : 0;
  node.dataset.taken = verdict ? String(verdict.taken) : "";
  [...bar.children].forEach((step, number) => step.classList.toggle("is-on", number < filled));
  const text = verdict ? verdict.words : "";
  if (words.textContent !== text) words.textContent = text;
}
