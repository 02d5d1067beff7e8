// The ownership challenge, written into a real S3 server and sent back from there.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { S3Server } from "../support/s3.ts";
import { freshScope, TestWorker } from "../support/worker.ts";

const binary = process.env.S3_SERVER;
const skip = binary === undefined && "no S3 server: the npm scripts install it: npm run test:worker";

describe("an ownership challenge", { skip }, () => {
  let s3: S3Server;
  let worker: TestWorker;
  before(async () => {
    s3 = await S3Server.start(binary as string, ["logs"]);
    worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", S3_SECRET: s3.secretAccessKey });
  });
  after(async () => {
    await worker.close();
    await s3.close();
  });

  const conf = (path: string, secret = "${secret:S3_SECRET}") =>
    `s3://${path}?region=us-east-1&endpoint=${s3.host}&access-key-id=${s3.accessKeyId}&secret-access-key=${secret}`;
  const call = async (scope: string, path: string, body: object) => {
    const { status, json } = await worker.api("POST", `${scope}/logpush/${path}`, body);
    assert.equal(status, 200, JSON.stringify(json));
    return json.result;
  };

  test("is written where the records would go, and valid when it is sent back", async () => {
    const scope = freshScope();
    const destination_conf = conf("logs/cloudflare/{DATE}");
    const written = await call(scope, "ownership", { destination_conf });
    const day = new Date().toISOString().slice(0, 10).replaceAll("-", "");
    assert.deepEqual(written, { filename: `cloudflare/${day}/ownership-challenge.txt`, message: "", valid: true });
    const ownership_challenge = s3.object("logs", written.filename).toString();
    const back = { destination_conf, ownership_challenge };
    assert.deepEqual(await call(scope, "ownership/validate", back), { valid: true });
    assert.deepEqual(await call(freshScope(), "ownership/validate", back), { valid: false });
    const elsewhere = { ...back, destination_conf: conf("logs/other") };
    assert.deepEqual(await call(scope, "ownership/validate", elsewhere), { valid: false });
    const tampered = { ...back, ownership_challenge: ownership_challenge.replace(/.$/, (last) => (last === "0" ? "1" : "0")) };
    assert.deepEqual(await call(scope, "ownership/validate", tampered), { valid: false });
  });

  test("that the storage refuses says why, and shows no key", async () => {
    for (const [destination_conf, why] of [
      [conf("logs/x", "wrong-secret"), "SignatureDoesNotMatch"],
      [conf("logs/x", "${secret:NOT_SET}"), "the secret NOT_SET is not set"],
    ] as const) {
      const { filename, message, valid } = await call(freshScope(), "ownership", { destination_conf });
      assert.deepEqual([filename, valid], ["", false], why);
      assert.match(message, new RegExp(why));
      assert.doesNotMatch(message, /wrong-secret|with\+signs|AKIDEXAMPLE/);
    }
  });

  test("can not be written without a key of the storage", async () => {
    for (const destination_conf of ["s3://logs/x?region=eu-west-1", "gs://logs/x"]) {
      const { filename, message, valid } = await call(freshScope(), "ownership", { destination_conf });
      assert.deepEqual([filename, valid], ["", false]);
      assert.match(message, /^no ownership challenge was written: (access-key-id|credentials): is missing/);
    }
  });
});
