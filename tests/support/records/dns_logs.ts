// One made-up query, as dataset dns_logs tells it.

import type { Moment, RecordMaker } from "../generate.ts";
import { Popular, type Random } from "../random.ts";
import { cachedQuote, type World } from "./world.ts";

const COMMON = [
  "ColoCode", "EDNSSubnet", "EDNSSubnetLength", "QueryName", "QueryType", "ResponseCached", "ResponseCode", "SourceIP",
  "Timestamp",
];

/** A, AAAA, HTTPS, MX, TXT, NS, SOA, CNAME, and one that IANA has not assigned. */
const TYPES = new Popular([1, 28, 65, 15, 16, 2, 6, 5, 64_000], 1.2);
const quoted = cachedQuote();

export const dnsLogs: RecordMaker = {
  dataset: "dns_logs",
  common: COMMON,
  flat: COMMON,
  gapMillis: 2,
  draw(random: Random, world: World, moment: Moment) {
    const client = world.clients.pick(random);
    const subnet = random.chance(0.3);
    const code = random.below(100);
    const values: Record<string, string> = {
      ColoCode: quoted(client.network.colo),
      EDNSSubnet: subnet ? quoted(client.ip.includes(":") ? "2001:db8::" : client.ip.replace(/\d+$/, "0")) : '""',
      EDNSSubnetLength: subnet ? (client.ip.includes(":") ? "56" : "24") : "0",
      QueryName: quoted(world.names.pick(random)),
      QueryType: String(TYPES.pick(random)),
      ResponseCached: random.chance(0.6) ? "true" : "false",
      ResponseCode: code < 90 ? "0" : code < 98 ? "3" : code < 99 ? "2" : "5",
      SourceIP: quoted(client.ip),
      Timestamp: moment.text,
    };
    return { values };
  },
};
