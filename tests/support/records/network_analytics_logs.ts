// One made-up packet sample, as account dataset network_analytics_logs tells it.

import type { Moment, RecordMaker } from "../generate.ts";
import { Popular, type Random } from "../random.ts";
import { cachedQuote, type World } from "./world.ts";

/** The fields of the sample that Cloudflare published, and those around them that say what the packet was. */
const COMMON = [
  "AttackCampaignID", "AttackID", "AttackVector", "ColoCity", "ColoCode", "ColoCountry", "ColoName", "Datetime",
  "DestinationASN", "DestinationASNName", "DestinationCountry", "DestinationPort", "Direction", "IPDestinationAddress",
  "IPDestinationSubnet", "IPHeaderLength", "IPProtocol", "IPProtocolName", "IPSourceAddress", "IPSourceSubnet", "IPTTL",
  "IPTotalLength", "MitigationReason", "MitigationScope", "MitigationSystem", "Outcome", "ProtocolState", "RuleID",
  "RuleName", "RulesetID", "RulesetOverrideID", "SampleInterval", "SourceASN", "SourceASNName", "SourceCountry",
  "SourcePort", "TCPFlags", "TCPFlagsString", "TCPSequenceNumber", "UDPPayloadLength", "Verdict",
];

const SYSTEMS = new Popular(["magic-firewall", "dosd", "flowtrackd"], 0.7);
const PROTOCOLS = new Popular([[6, "TCP"], [17, "UDP"], [1, "ICMP"]] as const, 1);
const quoted = cachedQuote();

export const networkAnalyticsLogs: RecordMaker = {
  dataset: "network_analytics_logs",
  common: COMMON,
  flat: COMMON,
  gapMillis: 3,
  draw(random: Random, world: World, moment: Moment) {
    const client = world.clients.pick(random);
    const { network } = client;
    const six = client.ip.includes(":");
    const [protocol, protocolName] = PROTOCOLS.pick(random);
    const system = SYSTEMS.pick(random);
    const drop = random.chance(0.2);
    const tcp = protocol === 6;
    const length = random.pick([40, 52, 60, 576, 1_420, 1_500]);
    const values: Record<string, string> = {
      AttackCampaignID: drop && system === "dosd" ? '"b7c1d2e3f4a54b6c8d9e0f1a2b3c4d5e"' : '""',
      AttackID: drop && system === "dosd" ? '"1f0e9d8c7b6a49588776655443322110"' : '""',
      AttackVector: drop && system === "dosd" ? (tcp ? '"SYN Flood"' : '"DNS Flood"') : '""',
      ColoCity: quoted(network.city),
      ColoCode: quoted(network.colo),
      ColoCountry: quoted(network.country.toUpperCase()),
      ColoName: quoted(`${network.colo.toLowerCase()}06`),
      Datetime: moment.text,
      DestinationASN: "13335",
      DestinationASNName: '"CLOUDFLARENET"',
      DestinationCountry: '"US"',
      DestinationPort: protocol === 1 ? "0" : tcp ? "443" : "53",
      Direction: random.chance(0.9) ? '"ingress"' : '"egress"',
      IPDestinationAddress: six ? '"2001:db8:1::10"' : '"192.0.2.10"',
      IPDestinationSubnet: six ? '"/64"' : '"/24"',
      IPHeaderLength: six ? "40" : "20",
      IPProtocol: String(protocol),
      IPProtocolName: quoted(protocolName),
      IPSourceAddress: quoted(client.ip),
      IPSourceSubnet: six ? '"/64"' : '"/24"',
      IPTTL: String(random.pick([52, 57, 116, 243])),
      IPTotalLength: String(length),
      IPv4Identification: six ? "0" : String(random.below(65_536)),
      MitigationReason: drop ? (system === "flowtrackd" ? '"OUT_OF_SEQUENCE"' : '"BLOCKED"') : '""',
      MitigationScope: drop ? '"local"' : '""',
      MitigationSystem: quoted(system),
      Outcome: drop ? '"drop"' : '"pass"',
      ProtocolState: tcp ? random.pick(['"OPEN"', '"NEW"']) : '""',
      RuleID: drop ? '"ac3d22f1a5074ac0b2ab5cb4b9e1a8e9"' : '""',
      RuleName: drop ? quoted("Drop <bogus> & spoofed") : '""',
      RulesetID: '"3b64149bfa6e4220bbbc2bd6db589552"',
      SampleInterval: String(random.pick([100, 100, 1_000, 9_961])),
      SourceASN: String(network.asn),
      SourceASNName: quoted(network.name),
      SourceCountry: quoted(network.country.toUpperCase()),
      SourcePort: protocol === 1 ? "0" : String(random.between(1_024, 65_535)),
      TCPFlags: tcp ? "24" : "0",
      TCPFlagsString: tcp ? '"ACK PSH"' : '""',
      TCPSequenceNumber: tcp ? String(random.next()) : "0",
      UDPPayloadLength: protocol === 17 ? String(length - 28) : "0",
      Verdict: drop ? '"drop"' : '"pass"',
    };
    return { values };
  },
};
