// The jobs of the bench: what a company with that many destinations asks for. The first one is the one that the peers
// have, too, and selects one record in nine; the others are as narrow as alerts are, by other fields and operators, and select
// between nothing and one record in forty each, together one in seven.

interface Condition {
  key: string;
  operator: string;
  value: unknown;
}
type Node = Condition | { and: Node[] } | { or: Node[] };

const is = (key: string, operator: string, value: unknown): Condition => ({ key, operator, value });
const all = (...and: Node[]): Node => ({ and });
const any = (...or: Node[]): Node => ({ or });

/** The ASNs and countries are those of the generator's made-up networks. */
const NETWORKS = [47983, 50775, 22234, 56757, 15916, 21043, 5621, 39080, 48281, 59071];
const COUNTRIES = ["br", "fr", "jp", "gb", "in"];
const HOSTS = ["www", "api", "static", "shop"].map((name) => `${name}.example.com`);
const PATHS = ["/login/", "/checkout/set", "/api/v2/cart/", "/api/v2/products/wall", "/search/oak", "/coffee"];
const FAILURES = [500, 502, 503, 522];

const http: Node[] = [
  is("EdgeResponseStatus", "geq", 400),
  all(is("ClientRequestPath", "startsWith", "/login"), any(is("EdgeResponseStatus", "eq", 401), is("BotScore", "lt", 5))),
  all(is("SecurityAction", "eq", "block"), is("WAFAttackScore", "lt", 10)),
  all(is("ClientCountry", "in", ["br", "jp"]), is("ClientRequestMethod", "!in", ["GET", "HEAD", "POST", "OPTIONS"])),
  all(is("ClientRequestUserAgent", "contains", "python"), is("CacheCacheStatus", "!eq", "hit"), is("BotScore", "leq", 8)),
  ...NETWORKS.map((asn) => all(is("ClientASN", "eq", asn), is("EdgeResponseStatus", "geq", 400))),
  ...COUNTRIES.map((country) => all(is("ClientCountry", "eq", country), is("EdgeResponseStatus", "in", [401, 429]))),
  ...HOSTS.map((host) => all(is("ClientRequestHost", "eq", host), is("EdgeResponseStatus", "in", FAILURES))),
  ...HOSTS.map((host) => all(is("ClientRequestHost", "eq", host), is("WAFAttackScore", "lt", 5))),
  ...PATHS.map((path) => all(is("ClientRequestPath", "startsWith", path), is("ClientRequestMethod", "eq", "POST"))),
  ...FAILURES.map((status) => is("EdgeResponseStatus", "eq", status)),
  ...[3, 5, 7].map((score) => all(is("BotScore", "lt", score), is("ClientSSLProtocol", "eq", "TLSv1.2"))),
  ...["curl/", "okhttp/", "python-requests/"].map((agent) =>
    all(is("ClientRequestUserAgent", "startsWith", agent), is("EdgeResponseStatus", "eq", 429)),
  ),
  ...[500_000, 300_000].map((bytes) => is("EdgeResponseBytes", "gt", bytes)),
  all(is("SecurityRuleIDs", "contains", "8f3a2d76c0b44e4c9d1f2b7f53f0aa10"), is("ClientRequestMethod", "eq", "POST")),
  all(is("OriginResponseDurationMs", "gt", 1_000), is("CacheCacheStatus", "eq", "dynamic")),
  all(is("ClientRequestURI", "contains", "<script>"), is("EdgeResponseStatus", "in", [200, 500])),
  all(is("EdgeColoCode", "in", ["SJC", "CDG"]), is("EdgeTimeToFirstByteMs", "geq", 700)),
];

/** The filters of the first `count` jobs. */
export function filters(count: number): string[] {
  if (count > http.length) throw new Error(`there are ${http.length} filters`);
  return http.slice(0, count).map((where) => JSON.stringify({ where }));
}

/** What the one job of another dataset asks for. */
export const OTHER_DATASETS = {
  dns_logs: JSON.stringify({ where: is("ResponseCode", "!eq", 0) }),
  firewall_events: JSON.stringify({ where: is("Action", "eq", "block") }),
} as const;
