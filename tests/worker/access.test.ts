// Cloudflare Access in front: whose token opens what, and what every other is told.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test, type TestContext } from "node:test";
import { AccessTeam, AUDIENCE, newKey } from "../support/access.ts";
import { noBrowser, TestBrowser } from "../support/browser.ts";
import { freshScope, TestWorker } from "../support/worker.ts";

const VARS = { ALLOW_PRIVATE_DESTINATIONS: "true", ACCESS_AUD: `other, ${AUDIENCE}` };

/** A request as the browser of somebody whom Access let in sends it. */
async function call(worker: TestWorker, method: string, path: string, headers: Record<string, string>, body?: object) {
  const answer = await fetch(worker.url + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const json = (await answer.json()) as any;
  const says = json.errors?.[0]?.message ?? json.error?.message ?? "";
  return { status: answer.status, headers: answer.headers, json, says };
}

const assertion = (token: string) => ({ "Cf-Access-Jwt-Assertion": token });

describe("Cloudflare Access", () => {
  let team: AccessTeam;
  let worker: TestWorker;
  const jobs = `/client/v4/${freshScope()}/logpush/jobs`;
  const job = { dataset: "http_requests", destination_conf: "https://127.0.0.1:1/x", enabled: false };

  before(async () => {
    team = await AccessTeam.start();
    const ACCESS_WRITERS = "writer@example.com, e36.access";
    worker = await TestWorker.start({ ...VARS, ACCESS_TEAM_DOMAIN: team.url, ACCESS_WRITERS });
  });
  after(async () => {
    await worker.close();
    team.close();
  });

  test("whom Access lets in reads everywhere without a token, with credentials masked, and the keys are read once", async () => {
    const headers = assertion(team.token());
    for (const path of [jobs, "/stats"]) assert.equal((await call(worker, "GET", path, headers)).status, 200, path);
    const metrics = await fetch(`${worker.url}/metrics`, { headers });
    assert.equal(metrics.status, 200);
    await metrics.body?.cancel();
    const query = { query: "{ __typename }" };
    assert.equal((await call(worker, "POST", "/client/v4/graphql", headers, query)).status, 200);
    const refused = await call(worker, "POST", jobs, headers, job);
    assert.deepEqual([refused.status, refused.json.errors[0].code], [403, 1004]);
    assert.equal(team.reads, 1);
  });

  test("writers are named by address or by the client id of their service token", async () => {
    // The destination answers nothing, so the call is let in and then refused for that.
    for (const claims of [{ email: "Writer@example.com" }, { email: undefined, nbf: undefined, sub: "", common_name: "e36.access" }]) {
      const { status, says } = await call(worker, "POST", jobs, assertion(team.token(claims)), job);
      assert.equal(status, 400);
      assert.match(says, /error validating destination/);
    }
  });

  test("the page is told what somebody may do who has no token, and so asks for none", async () => {
    const verify = async (claims: object) => await call(worker, "GET", "/client/v4/user/tokens/verify", assertion(team.token({ ...claims })));
    assert.deepEqual((await verify({})).json.result, { id: "access", status: "active", access: "read" });
    assert.deepEqual((await verify({ email: "writer@example.com" })).json.result, { id: "access", status: "active", access: "write" });
    assert.match((await verify({ exp: 1 })).says, /has expired/);
  });

  test("a token of the API decides alone, whatever Access says", async () => {
    const headers = assertion(team.token({ email: "writer@example.com" }));
    const read = await call(worker, "POST", jobs, { ...headers, Authorization: "Bearer read-token" }, job);
    assert.equal(read.status, 403);
    const wrong = await call(worker, "GET", jobs, { ...headers, Authorization: "Bearer wrong" });
    assert.equal(wrong.status, 401);
    assert.doesNotMatch(wrong.says, /Access/);
    const expired = assertion(team.token({ exp: 1 }));
    assert.equal((await call(worker, "GET", jobs, { ...expired, Authorization: "Bearer read-token" })).status, 200);
  });

  test("every other token opens nothing, and the answer says why without a word of it", async () => {
    const now = Math.floor(Date.now() / 1000);
    const stranger = newKey().privateKey;
    const good = team.token();
    const table: [what: string, token: string, says: RegExp][] = [
      ["expired", team.token({ exp: now - 90 }), /has expired; load the page again/],
      ["not yet valid", team.token({ nbf: now + 90 }), /not valid yet/],
      ["another application's", team.token({ aud: ["somebody else"] }), /another application; ACCESS_AUD/],
      ["another team's", team.token({ iss: "https://other.cloudflareaccess.com" }), /another team's; compare ACCESS_TEAM_DOMAIN/],
      ["signed by a stranger", team.token({}, {}, stranger), /signature is wrong/],
      ["of changed content", good.replace(/\.[^.]+\./, `.${team.token({ email: "writer@example.com" }).split(".")[1]}.`), /signature is wrong/],
      ["with an empty signature", good.replace(/[^.]+$/, ""), /signature is wrong/],
      ["unsigned", team.token({}, { alg: "none" }).replace(/[^.]+$/, ""), /not signed with RS256/],
      ["signed with the public key as a secret", team.confused(), /not signed with RS256/],
      ["no token", "nonsense", /no JSON Web Token/],
    ];
    for (const [what, token, says] of table) {
      for (const [method, path] of [["GET", jobs], ["GET", "/stats"], ["POST", "/client/v4/graphql"]] as const) {
        const answer = await call(worker, method, path, assertion(token));
        assert.equal(answer.status, 401, `${what} ${path}`);
        assert.match(answer.says, /^Cloudflare Access: /, `${what} ${path}`);
        assert.match(answer.says, says, `${what} ${path}`);
        for (const part of token.split(".")) assert.ok(part === "" || !answer.says.includes(part), what);
      }
    }
  });

  test("clocks may be half a minute apart", async () => {
    const now = Math.floor(Date.now() / 1000);
    for (const claims of [{ exp: now - 30 }, { nbf: now + 30 }]) {
      assert.equal((await call(worker, "GET", jobs, assertion(team.token(claims)))).status, 200);
    }
  });

  test("the cookie of Access alone opens nothing", async () => {
    const { status } = await call(worker, "GET", jobs, { Cookie: `CF_Authorization=${team.token()}` });
    assert.equal(status, 401);
  });

  test("a page of another origin changes nothing by the browser of a writer", async () => {
    const headers = assertion(team.token({ email: "writer@example.com" }));
    const others = [{ Origin: "https://evil.example" }, { Origin: "null" }, { "Sec-Fetch-Site": "cross-site" }, { "Sec-Fetch-Site": "same-site", Origin: worker.url }];
    for (const other of others) {
      const { status, says } = await call(worker, "POST", jobs, { ...headers, ...other } as Record<string, string>, job);
      assert.equal(status, 401, JSON.stringify(other));
      assert.match(says, /a page of another origin/);
    }
    const own = await call(worker, "POST", jobs, { ...headers, "Sec-Fetch-Site": "same-origin", Origin: worker.url }, job);
    assert.equal(own.status, 400);
    // A link from elsewhere may be followed: what it shows is for the person alone.
    assert.equal((await call(worker, "GET", "/stats", { ...headers, "Sec-Fetch-Site": "cross-site" })).status, 200);
  });

  test("batches want their own secret, whatever Access says", async () => {
    const path = `/ingest/${freshScope()}/http_requests`;
    const { status, says } = await call(worker, "POST", path, assertion(team.token({ email: "writer@example.com" })), {});
    assert.equal(status, 401);
    assert.doesNotMatch(says, /Access/);
  });
});

describe("the page behind Cloudflare Access", { skip: noBrowser, concurrency: true }, () => {
  let team: AccessTeam;
  let worker: TestWorker;
  let browser: TestBrowser;
  before(async () => {
    team = await AccessTeam.start();
    worker = await TestWorker.start({ ...VARS, ACCESS_TEAM_DOMAIN: team.url, ACCESS_WRITERS: "@example.com" });
    browser = await TestBrowser.launch();
  });
  after(async () => {
    await browser.close();
    await worker.close();
    team.close();
  });

  test("is open without a token, can change things, and no other page can by the same browser", async () => {
    const scope = freshScope();
    const { id } = await worker.createJob(scope, { dataset: "http_requests", destination_conf: `${team.url}/in` });
    const job = `/client/v4/${scope}/logpush/jobs/${id}`;
    // Another page: what its script may not read, the browser sends all the same, and Access would put its token on it.
    const other = createServer((_, response) => void response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>x</title>"));
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    try {
      await browser.visit(worker.url, { token: null }, async (visit, context) => {
        await context.setExtraHTTPHeaders(assertion(team.token()));
        await visit.open("#/jobs");
        await visit.page.getByRole("heading", { name: "Jobs", level: 1 }).waitFor();
        assert.equal(await visit.page.getByRole("button", { name: "Sign out" }).count(), 0);
        assert.equal(await visit.page.getByText("read only").count(), 0);
        const send = (to: string) => `fetch(${JSON.stringify(to)}, { method: "POST", mode: "no-cors", body: ${JSON.stringify('{"all":true}')} }).then((answer) => answer.status)`;
        assert.equal(await visit.page.evaluate(send(`${worker.url}${job}/dead-letters/redrive`)), 200);
        const evil = await context.newPage();
        await evil.goto(origin);
        const answered = evil.waitForResponse((response) => response.url().startsWith(worker.url));
        assert.equal(await evil.evaluate(send(`${worker.url}${job}/dead-letters/redrive`)), 0);
        const response = await answered;
        assert.equal(response.status(), 401);
        assert.ok(response.request().headers()["cf-access-jwt-assertion"], "as Access would send it");
      });
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });

  test("says why the Worker does not take what Access says", async () => {
    await browser.visit(worker.url, { token: null }, async (visit, context) => {
      visit.expectFailure(/\/user\/tokens\/verify$/, 401);
      await context.setExtraHTTPHeaders(assertion(team.token({ aud: ["another"] })));
      await visit.open();
      await visit.page.getByText("Cloudflare Access: the token is for another application").waitFor();
      await visit.page.getByLabel("Token").waitFor();
    });
  });
});

describe("the keys of Cloudflare Access", { concurrency: true }, () => {
  async function setUp(context: TestContext) {
    const team = await AccessTeam.start();
    const worker = await TestWorker.start({ ...VARS, ACCESS_TEAM_DOMAIN: team.url });
    context.after(async () => {
      await worker.close();
      team.close();
    });
    const read = async (token: string) => await call(worker, "GET", "/stats", assertion(token));
    return { team, worker, read };
  }

  test("are read anew for a key that was made since, and made-up ones cost ten reads at most", async (context) => {
    const { team, read } = await setUp(context);
    const before = team.token();
    assert.equal((await read(before)).status, 200);
    team.rotate();
    assert.equal((await read(team.token())).status, 200);
    assert.equal((await read(before)).status, 200, "the key before stays valid");
    assert.equal(team.reads, 2);
    for (let n = 0; n < 30; n += 1) {
      const answer = await read(team.token({}, { kid: `made-up-${n}` }));
      assert.equal(answer.status, 401);
      assert.match(answer.says, /a key that the team does not publish/);
    }
    assert.ok(team.reads <= 10, `${team.reads} reads`);
    assert.equal((await read(team.token())).status, 200);
  });

  test("that are known go on working when none can be read, and without one the answer says so and 503", async (context) => {
    const { team, worker, read } = await setUp(context);
    team.broken = 500;
    const answer = await read(team.token());
    assert.deepEqual([answer.status, answer.json.error.code], [503, "access_unavailable"]);
    assert.match(answer.says, /the team's keys can not be read \(status 500\); try again/);
    assert.equal(answer.headers.get("Retry-After"), "5");
    const api = await call(worker, "GET", "/client/v4/zones/a/logpush/jobs", assertion(team.token()));
    assert.deepEqual([api.status, api.json.errors[0].code], [503, 1101]);
    assert.equal((await worker.get("/stats", "read-token")).status, 200, "a token of the API needs no keys");
    team.broken = undefined;
    assert.equal((await read(team.token())).status, 200);
    team.broken = 500;
    assert.equal((await read(team.token())).status, 200);
    team.close();
    assert.equal((await read(team.token())).status, 200);
    team.rotate();
    assert.match((await read(team.token())).says, /the team's keys can not be read/);
  });

  test("a Worker that is not told of Access says what to set", async (context) => {
    const team = await AccessTeam.start();
    const worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", ACCESS_TEAM_DOMAIN: team.url });
    context.after(async () => {
      await worker.close();
      team.close();
    });
    const { status, says } = await call(worker, "GET", "/stats", assertion(team.token()));
    assert.equal(status, 401);
    assert.match(says, /ACCESS_AUD is not set/);
    assert.equal(team.reads, 0);
  });
});
