// Destination strings as forms: what each kind has, and the string made of it and read back. What the page does not
// touch keeps its bytes. docs/destinations.md describes the strings; the Worker checks them.

export interface Part {
  /** The parameter, as it stands in the string: `header_Authorization`, `region`. */
  name: string;
  label: string;
  hint?: string;
  isRequired?: boolean;
  /** A credential: `${secret:NAME}` is asked for. */
  isSecret?: boolean;
  /** Text that stands before what is entered, such as `Splunk `. */
  prefix?: string;
  placeholder?: string;
  /** The only values that there are; the first is the default, which is left out. */
  options?: readonly string[];
}

export interface Kind {
  /** Written in front of `://`. */
  scheme: string;
  title: string;
  /** What stands between `://` and `?`. */
  front: { label: string; hint: string; placeholder: string };
  parts: readonly Part[];
  /** Whether headers and parameters of the reader's own may stand beside them. */
  isOpen: boolean;
}

const KEY_ID: Part = { name: "access-key-id", label: "Access key id", isSecret: true };
const KEY_SECRET: Part = { name: "secret-access-key", label: "Secret access key", isSecret: true };
const AUTHORIZATION: Part = { name: "header_Authorization", label: "Authorization header", isSecret: true, placeholder: "Bearer ${secret:NAME}" };
const PATH_HINT = "Bucket, and a path if you like. {DATE} becomes the day, such as 20260701.";

/** In the order of the form; those that most people want come first. */
export const KINDS: readonly Kind[] = [
  {
    scheme: "https", title: "HTTPS endpoint",
    front: { label: "Host and path", hint: "Without https://. New Relic, SEKOIA.IO, Elastic and most others have such an intake.", placeholder: "logs.example.com/intake" },
    parts: [
      AUTHORIZATION,
      { name: "header_Content-Encoding", label: "Body", hint: "gzip unless the receiver can not read it.", options: ["gzip", "identity"] },
    ],
    isOpen: true,
  },
  {
    scheme: "splunk", title: "Splunk HTTP Event Collector",
    front: { label: "Host and path", hint: "Port 443 or 8088; the path is /services/collector/raw, or /services/collector/event for one envelope a record.", placeholder: "http-inputs-example.splunkcloud.com:443/services/collector/raw" },
    parts: [
      { name: "header_Authorization", label: "Token", isRequired: true, isSecret: true, prefix: "Splunk " },
      { name: "channel", label: "Channel", hint: "A GUID of your own; needed to wait for the indexer." },
      { name: "sourcetype", label: "Source type", placeholder: "cloudflare:json" },
      { name: "index", label: "Index" },
      { name: "source", label: "Source" },
      { name: "host", label: "Host of the events" },
      { name: "ack", label: "Wait until it is indexed", options: ["false", "true"] },
    ],
    isOpen: true,
  },
  {
    scheme: "datadog", title: "Datadog",
    front: { label: "Host and path", hint: "The host of your site.", placeholder: "http-intake.logs.datadoghq.com/api/v2/logs" },
    parts: [
      { name: "header_DD-API-KEY", label: "API key", isRequired: true, isSecret: true },
      { name: "ddsource", label: "Source", placeholder: "cloudflare" },
      { name: "service", label: "Service" },
      { name: "host", label: "Host of the logs" },
      { name: "ddtags", label: "Tags", placeholder: "env:prod,team:edge" },
    ],
    isOpen: true,
  },
  {
    scheme: "sumo", title: "Sumo Logic",
    front: { label: "Host and path of the HTTP source", hint: "All of the address behind https://. Its last part is a secret, and has to stand here as it is.", placeholder: "endpoint1.collection.us2.sumologic.com/receiver/v1/http/…" },
    parts: [
      { name: "header_X-Sumo-Category", label: "Category" },
      { name: "header_X-Sumo-Name", label: "Name" },
      { name: "header_X-Sumo-Host", label: "Host" },
    ],
    isOpen: true,
  },
  {
    scheme: "sentinelone", title: "SentinelOne",
    front: { label: "Host and path", hint: "The path is /services/collector/raw.", placeholder: "ingest.us1.sentinelone.net/services/collector/raw" },
    parts: [
      { name: "header_Authorization", label: "Token", isRequired: true, isSecret: true, prefix: "Bearer " },
      { name: "sourcetype", label: "Source type", placeholder: "marketplace-cloudflare-latest" },
    ],
    isOpen: true,
  },
  {
    scheme: "s3", title: "Amazon S3, or compatible storage",
    front: { label: "Bucket and path", hint: PATH_HINT, placeholder: "logs-bucket/cloudflare/{DATE}" },
    parts: [
      { name: "region", label: "Region", isRequired: true, placeholder: "eu-west-1" },
      { ...KEY_ID, isRequired: true },
      { ...KEY_SECRET, isRequired: true },
      { name: "endpoint", label: "Endpoint", hint: "Only for compatible storage: its host, without https:// and bucket.", placeholder: "s3.example.com" },
      { name: "sse", label: "Encryption by keys of Amazon's", options: ["", "AES256"] },
    ],
    isOpen: false,
  },
  {
    scheme: "r2", title: "Cloudflare R2",
    front: { label: "Bucket and path", hint: PATH_HINT, placeholder: "logs-bucket/cloudflare/{DATE}" },
    parts: [
      { name: "binding", label: "Binding", hint: "Of this Worker, in wrangler.toml: then no key is needed and the rest stays empty.", placeholder: "LOGS" },
      { name: "account-id", label: "Account id", hint: "32 hexadecimal digits; without a binding." },
      KEY_ID,
      KEY_SECRET,
      { name: "endpoint", label: "Endpoint", hint: "In place of the account id, for a bucket in a jurisdiction." },
    ],
    isOpen: false,
  },
  {
    scheme: "gs", title: "Google Cloud Storage",
    front: { label: "Bucket and path", hint: PATH_HINT, placeholder: "logs_bucket/cloudflare/{DATE}" },
    parts: [
      { name: "credentials", label: "Service account key", hint: "The key file in a secret: wrangler secret put NAME < key.json. Or an HMAC key below.", isSecret: true },
      KEY_ID,
      KEY_SECRET,
      { name: "endpoint", label: "Endpoint", hint: "Another host than storage.googleapis.com." },
    ],
    isOpen: false,
  },
  {
    scheme: "azure", title: "Azure Blob Storage",
    front: { label: "Account host, container and path", hint: "{DATE} becomes the day.", placeholder: "account.blob.core.windows.net/logs/cloudflare/{DATE}" },
    parts: [
      { name: "sv", label: "Version (sv)", isRequired: true, placeholder: "2024-11-04" },
      { name: "ss", label: "Services (ss)", isRequired: true, placeholder: "b" },
      { name: "srt", label: "Resource types (srt)", isRequired: true, placeholder: "o" },
      { name: "sp", label: "Permissions (sp)", isRequired: true, placeholder: "w" },
      { name: "se", label: "Expiry (se)", isRequired: true, placeholder: "2036-01-01T00:00:00Z" },
      { name: "st", label: "Start (st)" },
      { name: "spr", label: "Protocol (spr)", placeholder: "https" },
      { name: "sip", label: "Addresses (sip)" },
      { name: "sig", label: "Signature (sig)", isRequired: true, isSecret: true },
    ],
    isOpen: false,
  },
  {
    scheme: "wss", title: "WebSocket",
    front: { label: "Host and path", hint: "Without wss://.", placeholder: "logs.example.com/socket" },
    parts: [
      AUTHORIZATION,
      { name: "frame", label: "One frame holds", options: ["record", "push"] },
      { name: "ack", label: "Wait for an acknowledgement", options: ["false", "true"] },
    ],
    isOpen: true,
  },
  {
    scheme: "queue", title: "Cloudflare Queue",
    front: { label: "Binding", hint: "The name of a [[queues.producers]] binding in wrangler.toml.", placeholder: "LOGS" },
    parts: [],
    isOpen: false,
  },
];

/** http:// and ws:// are for a developer's own machine, and are filled in as their secure forms. */
const TWINS: Readonly<Record<string, string>> = { http: "https", ws: "wss" };

export const kindOf = (scheme: string): Kind | undefined => KINDS.find((kind) => kind.scheme === (TWINS[scheme] ?? scheme));

export interface Given {
  name: string;
  /** Decoded, with `${secret:NAME}` as it stands. Undefined: there is no `=`. */
  value: string | undefined;
  /** As it was written, while nobody has changed it. */
  written?: string;
}

export interface Destination {
  scheme: string;
  front: string;
  given: Given[];
}

/** Reads a string; undefined when it has no scheme that there is a form for. */
export function parseDestination(text: string): Destination | undefined {
  const found = /^([A-Za-z0-9]+):\/\/([^?]*)(?:\?(.*))?$/s.exec(text.trim());
  if (found === null) return undefined;
  const [, scheme = "", front = "", query = ""] = found;
  if (kindOf(scheme.toLowerCase()) === undefined) return undefined;
  const given = query.split("&").filter((one) => one !== "").map((written): Given => {
    const at = written.indexOf("=");
    if (at < 0) return { name: decoded(written), value: undefined, written };
    return { name: decoded(written.slice(0, at)), value: decoded(written.slice(at + 1)), written };
  });
  return { scheme: scheme.toLowerCase(), front, given };
}

/** The string of a form. */
export function printDestination({ scheme, front, given }: Destination): string {
  const query = given
    .map(({ name, value, written }) => written ?? `${encodeText(name)}=${encode(value ?? "")}`)
    .join("&");
  return `${scheme}://${front.trim()}${query === "" ? "" : `?${query}`}`;
}

export const valueOfPart = (destination: Destination, { name, prefix = "" }: Part): string => {
  const value = find(destination, name)?.value ?? "";
  return value.startsWith(prefix) ? value.slice(prefix.length) : value;
};

/** Headers are told apart without regard to case, parameters with it. */
function isSame(a: string, b: string): boolean {
  const header = /^header_/;
  return a === b || (header.test(a) && header.test(b) && a.toLowerCase() === b.toLowerCase());
}

const find = ({ given }: Destination, name: string) => given.find((one) => isSame(one.name, name));

/** With another value; an empty one, or the default of a part with options, takes it away. */
export function withPart(destination: Destination, part: Part, value: string): Destination {
  const whole = value === "" || value === part.options?.[0] ? "" : (part.prefix ?? "") + value;
  return withGiven(destination, part.name, whole);
}

export function withGiven(destination: Destination, name: string, value: string): Destination {
  const { given } = destination;
  const old = find(destination, name);
  if (value === "") return { ...destination, given: given.filter((one) => one !== old) };
  if (old === undefined) return { ...destination, given: [...given, { name, value }] };
  if (old.value === value) return destination;
  return { ...destination, given: given.map((one) => (one === old ? { name: one.name, value } : one)) };
}

/** With another value for one of them, which may be empty: it stays, and can be filled in again. */
export const withValue = (destination: Destination, of: Given, value: string): Destination =>
  ({ ...destination, given: destination.given.map((one) => (one === of ? { name: one.name, value } : one)) });

/** Headers and parameters that the form of this kind has no field for. */
export function others(destination: Destination): Given[] {
  const parts = kindOf(destination.scheme)?.parts ?? [];
  return destination.given.filter((one) => !parts.some((part) => isSame(part.name, one.name)));
}

/** Another kind: what both have stays. */
export function withScheme(destination: Destination, scheme: string): Destination {
  const kind = kindOf(scheme);
  if (kind === undefined || scheme === destination.scheme) return destination;
  const isKept = (one: Given) => kind.parts.some((part) => isSame(part.name, one.name) && part.prefix === undefined);
  return { scheme, front: "", given: destination.given.filter(isKept) };
}

/** What stands in place of a credential that a reader may not see. */
const REDACTED = "REDACTED";

/** What is missing or certain to be refused, by the parameter's name; `` is the part before the `?`. */
export function destinationFaults(destination: Destination): Map<string, string> {
  const found = new Map<string, string>();
  const kind = kindOf(destination.scheme);
  if (kind === undefined) return found;
  if (destination.front.trim() === "") found.set("", `Enter ${kind.front.label.toLowerCase()}.`);
  else if (/^[a-z]+:\/\//i.test(destination.front)) found.set("", "Leave out what stands before the host: it is chosen above.");
  else if (destination.front === REDACTED) found.set("", "REDACTED is what a reader is shown. Enter the address again.");
  for (const part of kind.parts) {
    const value = valueOfPart(destination, part);
    if (part.isRequired === true && value === "") found.set(part.name, `${part.label} is required.`);
    if (value.includes(REDACTED)) found.set(part.name, "REDACTED is what a reader is shown. Enter the secret again.");
    const broken = brokenSecret(value);
    if (broken !== undefined) found.set(part.name, broken);
  }
  return found;
}

/** `${secret:NAME}` written wrongly. */
function brokenSecret(value: string): string | undefined {
  const rest = value.replaceAll(PLACEHOLDER, "");
  return rest.includes("${") ? "A secret is written ${secret:NAME}, with a name of capital letters, digits and _." : undefined;
}

const PLACEHOLDER = /\$\{secret:[A-Z0-9_]{1,64}\}/g;

/** Whether a credential is written out where a secret's name could stand. */
export const isWrittenOut = (value: string): boolean => value.replaceAll(PLACEHOLDER, "").replace(/^(Bearer|Basic|Splunk|Token)\s*/i, "") !== "";

export const secretsOf = (text: string): string[] => [...new Set([...text.matchAll(/\$\{secret:([A-Z0-9_]{1,64})\}/g)].map(([, name = ""]) => name))];

/** Percent-decoded; text with a stray `%` as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Percent-encoded, but for placeholders. */
function encode(value: string): string {
  const names = [...value.matchAll(PLACEHOLDER)].map(([text]) => text);
  return value.split(PLACEHOLDER).map((text, index) => encodeText(text) + (names[index] ?? "")).join("");
}

/** What can not be misread in a query stays readable; `+` is a space to some receivers, and is encoded. */
const encodeText = (text: string): string => encodeURIComponent(text).replace(/%(3A|2C|2F|40)/g, (escape) => decodeURIComponent(escape));
