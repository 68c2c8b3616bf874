// A real OpenID provider for tests: oidc-provider, in which people sign in by their name alone
// (login_hint, or a form that also lets them refuse). Configured by one JSON object on standard input; says "listening" when it does.
//
//   POST /control/keys    {"keys": […]}        sign with these private keys from now on
//   POST /control/forge   {"id_token": "…"}    answer the next code with this ID token
//   POST /control/person  {"ada": {…}}         say this of people as well from now on
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const config = JSON.parse(readFileSync(0, "utf8"));
let forged;
let provider = build(config.jwks);

function build(jwks) {
  const made = new Provider(config.issuer, {
    jwks,
    clients: config.clients,
    cookies: { keys: ["of a test"] },
    scopes: ["openid", "email", "profile", "groups"],
    claims: {
      openid: ["sub", "act"],
      email: ["email", "email_verified"],
      profile: ["name"],
      groups: ["groups", "org_id", "amr"],
    },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        logoutSource: (ctx, form) => {
          ctx.body = htmlPage(
            `<h1>Sign out here as well?</h1>${form}` +
              `<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`,
          );
        },
      },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: "api",
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) =>
      config.people[id] && { accountId: id, claims: () => ({ sub: id, ...config.people[id] }) },
    loadExistingGrant: allow,
    extraTokenClaims: (_ctx, token) => config.token_claims[token.accountId ?? token.clientId],
  });
  made.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route === "token" && forged && ctx.body?.id_token) {
      ctx.body.id_token = forged;
      forged = undefined;
    }
  });
  return made;
}

// Nobody is asked for consent: everything a client asks for is granted.
async function allow(ctx) {
  const { client, session, provider: of } = ctx.oidc;
  const grant = new of.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid email profile groups");
  grant.addResourceScope(config.audience, "api");
  await grant.save();
  return grant;
}

async function text(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

const body = async (request) => JSON.parse(await text(request));

const htmlPage = (content) =>
  `<!doctype html><html lang="en"><title>Provider</title><main>${content}</main></html>`;

const SIGN_IN = htmlPage(
  `<h1>Who are you?</h1><form method="post"><label>Name <input name="person"></label>` +
    `<button name="do" value="enter">Go on</button><button name="do" value="refuse">Refuse</button></form>`,
);

async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  if (!params.login_hint && request.method === "GET") {
    return response.writeHead(200, { "content-type": "text/html" }).end(SIGN_IN);
  }
  const typed = new URLSearchParams(await text(request));
  const done =
    typed.get("do") === "refuse"
      ? { error: "access_denied", error_description: "They do not want to." }
      : { login: { accountId: params.login_hint ?? typed.get("person") } };
  return provider.interactionFinished(request, response, done);
}

async function answer(request, response) {
  if (request.url === "/control/keys") provider = build(await body(request));
  else if (request.url === "/control/forge") forged = (await body(request)).id_token;
  else if (request.url === "/control/person") {
    for (const [id, claims] of Object.entries(await body(request))) {
      config.people[id] = { ...config.people[id], ...claims };
    }
  } else if (request.url.startsWith("/interaction/")) return interact(request, response);
  else return provider.callback()(request, response);
  return response.writeHead(204).end();
}

createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end(String(error));
  });
}).listen(config.port, "127.0.0.1", () => console.log("listening"));
