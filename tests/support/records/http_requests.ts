// One made-up HTTP request, as zone dataset http_requests tells it.

import type { Moment, RecordMaker } from "../generate.ts";
import type { Random } from "../random.ts";
import { Popular } from "../random.ts";
import type { Client, Page, World } from "./world.ts";
import { cachedQuote } from "./world.ts";
import { array, object } from "./text.ts";

/** What most people select: about 1.2 KB a record. */
const COMMON = [
  "BotScore", "BotScoreSrc", "CacheCacheStatus", "ClientASN", "ClientCountry", "ClientIP", "ClientRequestBytes",
  "ClientRequestHost", "ClientRequestMethod", "ClientRequestPath", "ClientRequestProtocol", "ClientRequestReferer",
  "ClientRequestScheme", "ClientRequestURI", "ClientRequestUserAgent", "ClientSSLCipher", "ClientSSLProtocol",
  "ClientSrcPort", "Cookies", "EdgeColoCode", "EdgeEndTimestamp", "EdgeResponseBytes", "EdgeResponseContentType",
  "EdgeResponseStatus", "EdgeServerIP", "EdgeStartTimestamp", "EdgeTimeToFirstByteMs", "JA3Hash", "OriginIP",
  "OriginResponseDurationMs", "ParentRayID", "RayID", "RequestHeaders", "SecurityAction", "SecurityRuleIDs",
  "WAFAttackScore",
];

const NESTED = new Set(["Cookies", "RequestHeaders", "ResponseHeaders", "JA4Signals"]);

const METHODS = new Popular(["GET", "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"], 0.6);
const QUERIES = ["?page=2&sort=price", "?q=%E2%98%95+%3Cmug%3E&lang=de", "?utm_source=news&utm_medium=mail", "?id=<script>&x=1"];
const RULES = ["20c5afbb6d044d9b8ba21aa2e6bc3a4b", "8f3a2d76c0b44e4c9d1f2b7f53f0aa10", "f5295d8a1e2d4f8d8c0b2c8b9dd57f6e"];
const quoted = cachedQuote();

function statusOf(random: Random, page: Page): number {
  const roll = random.below(1_000);
  if (roll < 845) return roll < 40 ? 304 : 200;
  if (roll < 885) return 301;
  if (roll < 940) return 404;
  if (roll < 970) return page.path.startsWith("/login") ? 401 : 403;
  if (roll < 982) return 429;
  if (roll < 990) return 499;
  return random.pick([500, 502, 503, 522]);
}

function headers(client: Client): string {
  const known = headerText.get(client);
  if (known !== undefined) return known;
  const text = client.browser ? object({ "accept-language": client.language, "x-device": client.device }) : "{}";
  headerText.set(client, text);
  return text;
}
const headerText = new WeakMap<Client, string>();

export const httpRequests: RecordMaker = {
  dataset: "http_requests",
  common: COMMON,
  flat: COMMON.filter((field) => !NESTED.has(field)),
  gapMillis: 1,
  draw(random: Random, world: World, moment: Moment) {
    const client = world.clients.pick(random);
    const page = world.pages.pick(random);
    const { network } = client;
    const status = statusOf(random, page);
    const blocked = status === 403 || status === 429;
    const hit = page.cached && status === 200 && random.chance(0.92);
    const origin = !hit && !blocked && status !== 301;
    const took = origin ? Math.max(2, random.longTail(60)) : random.between(1, 9);
    const bytes = status === 304 || status === 301 ? 480 : status >= 400 ? 1_732 : page.medianBytes;
    const sent = hit || status !== 200 ? bytes : Math.round(bytes * (0.5 + random.below(1_000) / 1_000));
    const query = !page.cached && random.chance(0.2) ? `${random.pick(QUERIES)}&v=${random.hex(6)}` : "";
    const rule = blocked ? random.pick(RULES) : "";
    const ended = moment.plus(took, random.chance(0.25) ? random.below(1_000_000) : 0);
    const values: Record<string, string> = {
      BotScore: String(client.bot),
      BotScoreSrc: client.browser ? '"Machine Learning"' : '"Heuristics"',
      BotTags: client.browser ? "[]" : '["api"]',
      CacheCacheStatus: hit ? '"hit"' : page.cached ? '"miss"' : '"dynamic"',
      CacheResponseBytes: String(sent + 320),
      CacheResponseStatus: origin ? String(status) : "0",
      CacheTieredFill: "false",
      ClientASN: String(network.asn),
      ClientCity: quoted(network.city),
      ClientCountry: quoted(network.country),
      ClientDeviceType: quoted(client.device),
      ClientIP: quoted(client.ip),
      ClientIPClass: client.browser ? '"noRecord"' : '"scan"',
      ClientLatitude: quoted(network.latitude),
      ClientLongitude: quoted(network.longitude),
      ClientMTLSAuthStatus: '"unknown"',
      ClientRegionCode: quoted(network.region),
      ClientRequestBytes: String(client.userAgent.length + random.between(2_900, 3_600)),
      ClientRequestHost: quoted(page.host),
      ClientRequestMethod: quoted(METHODS.pick(random)),
      ClientRequestPath: quoted(page.path),
      ClientRequestProtocol: quoted(client.protocol),
      ClientRequestReferer: quoted(client.referer),
      ClientRequestScheme: '"https"',
      ClientRequestSource: '"eyeball"',
      ClientRequestURI: quoted(page.path + query),
      ClientRequestUserAgent: quoted(client.userAgent),
      ClientSSLCipher: quoted(client.cipher),
      ClientSSLProtocol: quoted(client.tls),
      ClientSrcPort: String(random.between(1_024, 65_535)),
      ClientTCPRTTMs: String(client.protocol === "HTTP/3" ? 0 : random.between(4, 90)),
      Cookies: client.browser && page.host.startsWith("shop") ? object({ cart_id: client.ja4.slice(11, 23), Lang: "de & en" }) : "{}",
      EdgeColoCode: quoted(network.colo),
      EdgeColoID: String(network.coloId),
      EdgeEndTimestamp: ended,
      EdgePathingOp: blocked ? '"ban"' : '"wl"',
      EdgePathingSrc: '"macro"',
      EdgePathingStatus: '"nr"',
      EdgeRequestHost: origin ? quoted(page.host) : '""',
      EdgeResponseBodyBytes: String(sent),
      EdgeResponseBytes: String(sent + 612),
      EdgeResponseCompressionRatio: page.cached ? "0" : String(random.between(200, 480) / 100),
      EdgeResponseContentType: quoted(page.contentType),
      EdgeResponseStatus: String(status),
      EdgeServerIP: origin ? '"192.0.2.77"' : '""',
      EdgeStartTimestamp: moment.text,
      EdgeTimeToFirstByteMs: String(took),
      // Browsers shuffle their TLS extensions per connection, so this changes where the other traits do not.
      JA3Hash: client.browser && random.chance(0.35) ? `"${random.hex(32)}"` : quoted(client.ja3),
      JA4: quoted(client.ja4),
      JA4Signals: object({ h2h3_ratio_1h: 0.94, reqs_quantile_1h: 0.99 }),
      JSDetectionPassed: client.browser ? '"passed"' : '"missing"',
      LeakedCredentialCheckResult: '"clean"',
      OriginIP: origin ? quoted(page.originIp) : '""',
      OriginResponseDurationMs: origin ? String(took - 1) : "0",
      OriginResponseStatus: origin ? String(status) : "0",
      OriginSSLProtocol: origin ? '"TLSv1.3"' : '"unknown"',
      ParentRayID: '"00"',
      RayID: `"${random.hex(16)}"`,
      RequestHeaders: headers(client),
      ResponseHeaders: "{}",
      SecurityAction: blocked ? '"block"' : '""',
      SecurityActions: blocked ? '["block"]' : "[]",
      SecurityRuleDescription: blocked ? quoted("Überlast <API> & Login") : '""',
      SecurityRuleID: quoted(rule),
      SecurityRuleIDs: blocked ? array([rule]) : "[]",
      SecuritySources: blocked ? '["ratelimit"]' : "[]",
      SmartRouteColoID: "0",
      WAFAttackScore: String(blocked ? random.between(1, 20) : random.between(88, 92)),
      WAFFlags: '"0"',
      WorkerStatus: '"unknown"',
      ZoneName: quoted(page.zone),
    };
    return { values, status };
  },
};
