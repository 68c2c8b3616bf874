// A real OpenID provider for tests: oidc-provider, in which people sign in by their name alone
// (login_hint). Configured by one JSON object on standard input; says "listening" when it does.
//
//   POST /control/keys    {"keys": […]}        sign with these private keys from now on
//   POST /control/forge   {"id_token": "…"}    answer the next code with this ID token
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
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["name"],
      groups: ["groups", "org_id", "amr"],
    },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
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

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}

async function answer(request, response) {
  if (request.url === "/control/keys") provider = build(await body(request));
  else if (request.url === "/control/forge") forged = (await body(request)).id_token;
  else if (request.url.startsWith("/interaction/")) {
    const { params } = await provider.interactionDetails(request, response);
    const login = { accountId: params.login_hint };
    return provider.interactionFinished(request, response, { login });
  } else return provider.callback()(request, response);
  return response.writeHead(204).end();
}

createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end(String(error));
  });
}).listen(config.port, "127.0.0.1", () => console.log("listening"));
