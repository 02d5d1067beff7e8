// The visitors, hosts and networks that the made-up traffic is about. Everything is drawn once per seed;
// which of it a record shows is decided by popularity.

import { Popular, Random } from "../random.ts";
import { quote } from "./text.ts";

export interface Network {
  asn: number;
  name: string;
  country: string;
  city: string;
  region: string;
  latitude: string;
  longitude: string;
  colo: string;
  coloId: number;
}

export interface Client {
  ip: string;
  network: Network;
  userAgent: string;
  browser: boolean;
  device: string;
  protocol: string;
  tls: string;
  cipher: string;
  ja3: string;
  ja4: string;
  bot: number;
  referer: string;
  language: string;
}

export interface Page {
  host: string;
  zone: string;
  path: string;
  contentType: string;
  cached: boolean;
  medianBytes: number;
  originIp: string;
}

const CITIES: readonly [string, string, string, string, string, string, number][] = [
  ["us", "Ashburn", "VA", "39.04372", "-77.48749", "IAD", 14],
  ["us", "San José", "CA", "37.33939", "-121.89496", "SJC", 4],
  ["de", "Frankfurt am Main", "HE", "50.11552", "8.68417", "FRA", 34],
  ["gb", "London", "ENG", "51.50853", "-0.12574", "LHR", 12],
  ["br", "São Paulo", "SP", "-23.54750", "-46.63611", "GRU", 55],
  ["jp", "東京", "13", "35.68950", "139.69171", "NRT", 28],
  ["in", "Mumbai", "MH", "19.07283", "72.88261", "BOM", 91],
  ["fr", "Paris", "IDF", "48.85341", "2.34880", "CDG", 31],
  ["th", "Bangkok", "10", "13.75398", "100.50144", "BKK", 101],
  ["pl", "Łódź", "LD", "51.77058", "19.47395", "WAW", 60],
  ["se", "Göteborg", "O", "57.70716", "11.96679", "ARN", 29],
  ["za", "Johannesburg", "GT", "-26.20227", "28.04363", "JNB", 77],
];

const NETWORKS = ["Example Cable", "Société Exemple", "Example Mobile & Data", "Muster GmbH", "例示通信", "Sample Hosting <dc>"];

const AGENTS: readonly [string, boolean, string][] = [
  ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", true, "desktop"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", true, "mobile"],
  ["Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36", true, "mobile"],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15", true, "desktop"],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", true, "desktop"],
  ["okhttp/4.12.0", false, "mobile"],
  ["Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example.com/about?lang=en&v=2)", false, "desktop"],
  ["python-requests/2.32.3", false, "desktop"],
  ["curl/8.5.0", false, "desktop"],
];

const PATHS: readonly [string, string, boolean, number][] = [
  ["/", "text/html", false, 24_000],
  ["/api/v2/cart", "application/json", false, 900],
  ["/static/js/app.7f3a91.js", "application/javascript", true, 180_000],
  ["/static/css/main.b81e02.css", "text/css", true, 41_000],
  ["/api/v2/products", "application/json", false, 5_200],
  ["/img/hero/größe-xl.webp", "image/webp", true, 96_000],
  ["/checkout", "text/html", false, 18_000],
  ["/login", "text/html", false, 9_000],
  ["/search", "text/html", false, 31_000],
  ["/favicon.ico", "image/x-icon", true, 4_286],
];

let shared: World | undefined;

/** The same everywhere: a seed changes the traffic, not who and what there is. */
export function world(): World {
  shared ??= new World(new Random(20_260_701));
  return shared;
}

const SLUGS = ["coffee", "mug", "té", "wall", "lamp", "desk", "oak", "blue", "mini", "set", "pro", "hülle"];

export class World {
  readonly clients: Popular<Client>;
  readonly pages: Popular<Page>;
  readonly networks: Popular<Network>;
  readonly names: Popular<string>;

  constructor(random: Random) {
    const networks = Array.from({ length: 60 }, (_, rank): Network => {
      const [country, city, region, latitude, longitude, colo, coloId] = random.pick(CITIES);
      const asn = rank === 0 ? 13335 : random.between(1_000, 64_000);
      return { asn, name: random.pick(NETWORKS), country, city, region, latitude, longitude, colo, coloId };
    });
    this.networks = new Popular(networks);
    const fingerprints = Array.from({ length: 40 }, () => random.hex(32));
    this.clients = new Popular(Array.from({ length: 12_000 }, () => this.#client(random, fingerprints)), 0.4);
    const hosts = ["www.example.com", "api.example.com", "static.example.com", "shop.example.com", "bücher.example.com"];
    const pages = Array.from({ length: 1_500 }, (_, rank): Page => {
      const [path, contentType, cached, medianBytes] = random.pick(PATHS);
      const host = hosts[Math.min(hosts.length - 1, Math.floor(rank / 3) % hosts.length)] as string;
      const product = rank < PATHS.length || cached ? "" : `${path === "/" ? "" : "/"}${random.pick(SLUGS)}-${random.pick(SLUGS)}-${random.hex(6)}`;
      return { host, zone: "example.com", path: path + product, contentType, cached, medianBytes, originIp: `192.0.2.${random.between(1, 8)}` };
    });
    this.pages = new Popular(pages, 0.8);
    // Resolvers mix the case of names on purpose, to make answers hard to forge.
    this.names = new Popular(
      Array.from({ length: 400 }, (_, rank) => {
        const label = random.pick(["www", "api", "mail", "cdn", "_dmarc", "ns1", "shop", "xn--bcher-kva"]);
        const name = `${label}${rank > 20 ? rank : ""}.example.com.`;
        return random.chance(0.15)
          ? [...name].map((letter) => (random.chance(0.5) ? letter.toUpperCase() : letter)).join("")
          : name;
      }),
    );
  }

  #client(random: Random, fingerprints: readonly string[]): Client {
    const network = this.networks.pick(random);
    const [userAgent, browser, device] = AGENTS[Math.min(random.below(9), random.below(9))] as (typeof AGENTS)[number];
    const six = random.chance(0.25);
    const ip = six
      ? `2001:db8:${random.hex(4)}:${random.hex(4)}::${random.hex(2)}`.replace(/:0+(?=[0-9a-f])/g, ":")
      : `${random.pick(["198.51.100", "203.0.113", "198.18.4", "198.19.77"])}.${random.between(1, 254)}`;
    return {
      ip,
      network,
      userAgent: userAgent.replace("126.0", () => `${random.between(118, 127)}.0`),
      browser,
      device,
      protocol: browser ? random.pick(["HTTP/2", "HTTP/2", "HTTP/3", "HTTP/1.1"]) : "HTTP/1.1",
      tls: random.chance(0.85) ? "TLSv1.3" : "TLSv1.2",
      cipher: random.pick(["AEAD-AES128-GCM-SHA256", "AEAD-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
      ja3: random.pick(fingerprints),
      ja4: `t13d1516h2_${random.hex(12)}_${random.hex(12)}`,
      bot: browser ? random.between(60, 99) : random.between(1, 29),
      referer: browser && random.chance(0.6) ? "https://www.example.com/?utm_source=news&utm_medium=mail" : "",
      language: random.pick(["en-US,en;q=0.9", "de-DE,de;q=0.8,en;q=0.5", "ja", "pt-BR"]),
    };
  }
}

/** Quoting is the dearest part of a record, and most strings come again and again. */
export function cachedQuote(): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    let quoted = known.get(text);
    if (quoted === undefined) {
      quoted = quote(text);
      if (known.size < 20_000) known.set(text, quoted);
    }
    return quoted;
  };
}
