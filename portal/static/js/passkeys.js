// Passkeys: the browser asks the device, the form carries the answer to the portal.
// A button with data-passkey="get" uses a passkey, one with "create" makes one.

const able =
  typeof globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON === "function" &&
  typeof globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON === "function";

for (const button of document.querySelectorAll("[data-passkey]")) {
  if (able) prepare(button);
  else say(button, "This browser cannot use passkeys. A newer one can.");
}

function prepare(button) {
  button.hidden = false;
  button.addEventListener("click", () => use(button));
  if (button.dataset.passkey !== "create") return;
  // Enter in the field of the name means the same as the button.
  button.form.addEventListener("submit", (event) => {
    event.preventDefault();
    use(button);
  });
}

async function use(button) {
  const form = button.form;
  say(button, "");
  button.disabled = true;
  try {
    const options = await ask(button.dataset.options, form.elements.csrf_token.value);
    if (!options) return;
    const credential =
      button.dataset.passkey === "create"
        ? await navigator.credentials.create({
            publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
          })
        : await navigator.credentials.get({
            publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
          });
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    say(button, words(error));
  } finally {
    button.disabled = false;
  }
}

async function ask(url, token) {
  const response = await fetch(url, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRFToken": token },
  });
  const answer = await response.json();
  if (response.ok) return answer;
  if (answer.reason === "fresh_proof") {
    location.assign(`/account/prove?next=${encodeURIComponent(location.pathname)}`);
    return null;
  }
  throw new Refused(answer.detail);
}

class Refused extends Error {}

function words(error) {
  if (error instanceof Refused) return error.message;
  if (error.name === "InvalidStateError") return "This device has a passkey for your account already.";
  if (error.name === "NotAllowedError") return "No passkey was used: it was cancelled, took too long, or there is none here.";
  return "That did not work. Check the connection and try again.";
}

function say(button, text) {
  const place = button.parentElement.querySelector("[data-passkey-said]");
  place.textContent = text;
  place.hidden = !text;
}
