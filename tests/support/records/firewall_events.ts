// One made-up rule match, as dataset firewall_events tells it: one line per matched rule, so a request may give several.

import type { Moment, RecordMaker } from "../generate.ts";
import { Popular, type Random } from "../random.ts";
import { cachedQuote, type World } from "./world.ts";
import { object } from "./text.ts";

const COMMON = [
  "Action", "ClientASN", "ClientASNDescription", "ClientCountry", "ClientIP", "ClientIPClass", "ClientRefererHost",
  "ClientRefererPath", "ClientRefererQuery", "ClientRefererScheme", "ClientRequestHost", "ClientRequestMethod",
  "ClientRequestPath", "ClientRequestProtocol", "ClientRequestQuery", "ClientRequestScheme", "ClientRequestUserAgent",
  "ContentScanObjResults", "ContentScanObjSizes", "ContentScanObjTypes", "Datetime", "Description", "EdgeColoCode",
  "EdgeResponseStatus", "Kind", "LeakedCredentialCheckResult", "MatchIndex", "Metadata", "OriginResponseStatus",
  "OriginatorRayID", "RayID", "Ref", "RuleID", "Source",
];

const ACTIONS = new Popular(["block", "managedchallenge", "log", "skip", "jschallenge", "allow", "managedchallengenoninteractivesolved", "challengesolved"], 0.8);
const RULES = [
  ["firewallcustom", "7d2f9a1be6b0473f9b6a5d11c4d0ee31", "Block <old> clients & scanners", "edge-deny-1"],
  ["firewallmanaged", "6179ae15870a4bb7b2d480d4843b323c", "PHP – Code Injection: \"eval()\"", ""],
  ["ratelimit", "f5295d8a1e2d4f8d8c0b2c8b9dd57f6e", "Überlast /login", "login-rate"],
  ["botmanagement", "c1f7b8de2a3e4a5eb8ac9d1d2b0b9c77", "likely automated", ""],
  ["l7ddos", "0000000000000000000000000000000000", "HTTP flood from known botnet", ""],
] as const;
const quoted = cachedQuote();

export const firewallEvents: RecordMaker = {
  dataset: "firewall_events",
  common: COMMON,
  flat: COMMON.filter((field) => field !== "Metadata"),
  gapMillis: 5,
  draw(random: Random, world: World, moment: Moment) {
    const client = world.clients.pick(random);
    const page = world.pages.pick(random);
    const [source, rule, description, ref] = random.pick(RULES);
    const action = ACTIONS.pick(random);
    const status = action === "block" ? (source === "ratelimit" ? 429 : 403) : action.endsWith("challenge") ? 403 : 200;
    const solved = action.endsWith("solved");
    const metadata =
      source === "firewallmanaged"
        ? object({ group: "cve-2021-44228", ruleset_version: random.between(310, 314), matched_var: "http.request.body.form['q']" })
        : source === "firewallcustom"
          ? object({ filter: "a1b2c3d4e5f60718293a4b5c6d7e8f90", type: "customer" })
          : "{}";
    const values: Record<string, string> = {
      Action: quoted(action),
      ClientASN: String(client.network.asn),
      ClientASNDescription: quoted(client.network.name),
      ClientCountry: quoted(client.network.country),
      ClientIP: quoted(client.ip),
      ClientIPClass: client.browser ? '"noRecord"' : '"scan"',
      ClientRefererHost: client.referer === "" ? '""' : '"www.example.com"',
      ClientRefererPath: client.referer === "" ? '""' : '"/"',
      ClientRefererQuery: client.referer === "" ? '""' : quoted("?utm_source=news&utm_medium=mail"),
      ClientRefererScheme: client.referer === "" ? '""' : '"https"',
      ClientRequestHost: quoted(page.host),
      ClientRequestMethod: random.chance(0.7) ? '"GET"' : '"POST"',
      ClientRequestPath: quoted(page.path),
      ClientRequestProtocol: quoted(client.protocol),
      ClientRequestQuery: random.chance(0.2) ? quoted("?q=1' OR '1'='1&x=<svg/onload=alert(1)>") : '""',
      ClientRequestScheme: '"https"',
      ClientRequestUserAgent: quoted(client.userAgent),
      Datetime: moment.text,
      Description: quoted(description),
      EdgeColoCode: quoted(client.network.colo),
      EdgeResponseStatus: String(status),
      Kind: '"firewall"',
      LeakedCredentialCheckResult: '"clean"',
      MatchIndex: random.chance(0.2) ? "1" : "0",
      Metadata: metadata,
      OriginResponseStatus: status === 200 ? "200" : "0",
      OriginatorRayID: solved ? `"${random.hex(16)}"` : '"00"',
      RayID: `"${random.hex(16)}"`,
      Ref: quoted(ref),
      RuleID: quoted(rule),
      Source: quoted(source),
      ZoneName: quoted(page.zone),
    };
    return { values, status, action };
  },
};
