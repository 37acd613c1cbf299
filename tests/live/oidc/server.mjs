// A real OpenID Connect provider: node server.mjs PORT REDIRECT_URI…
// Whoever types an address (or a name at example.org) is that person; a password is not looked at.
// Each start makes new keys. An address that starts with "unconfirmed" is not confirmed.
import { generateKeyPairSync } from "node:crypto";

import Provider from "oidc-provider";

// Node 18 and 20 lack it.
URL.parse ??= (text, base) => {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
};

const [port, ...redirectUris] = process.argv.slice(2);
// How clients prove themselves; whoever does it by form gets ID tokens signed another way too.
const method = process.env.CLIENT_AUTH ?? "client_secret_basic";

function key(kind, options, alg) {
  const { privateKey } = generateKeyPairSync(kind, options);
  const kid = `${alg}-${Date.now()}`;
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "portal",
      client_secret: "a secret: with + and %",
      redirect_uris: redirectUris,
      token_endpoint_auth_method: method,
      id_token_signed_response_alg: method === "client_secret_post" ? "ES256" : "RS256",
    },
  ],
  clientAuthMethods: [method],
  jwks: {
    keys: [
      key("rsa", { modulusLength: 2048 }, "RS256"),
      key("ec", { namedCurve: "P-256" }, "ES256"),
    ],
  },
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  async findAccount(_context, id) {
    const email = id.includes("@") ? id : `${id}@example.org`;
    const name = email.split("@")[0].replace(/^./, (first) => first.toUpperCase());
    const email_verified = !id.startsWith("unconfirmed");
    return { accountId: id, claims: () => ({ sub: id, email, email_verified, name }) };
  },
  cookies: { keys: ["a key for tests"] },
});
// Its pages load a font from far away; tests stay on this machine.
provider.use(async (context, next) => {
  await next();
  if (typeof context.body === "string") {
    context.body = context.body.replace(/@import url\([^)]*\);?/g, "");
  }
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
