// destination_conf strings without their secrets: shown, and compared with what a token that may only read gets to see.

/** What the Worker shows in place of a secret. */
export const REDACTED = "REDACTED";

/** Parameters whose values are no secrets. Every other one is masked: rather too much than too little. */
const OPEN_PARAMETERS = new Set([
  "account-id", "ack", "channel", "ddsource", "ddtags", "endpoint", "format", "frame", "host", "index", "insecure-skip-verify", "region", "service",
  "source", "sourcetype", "sse", "tags",
]);

/** Schemes whose path is no secret. */
const OPEN_PATHS = new Set(["https", "http", "splunk", "r2", "s3", "gs", "azure", "sentinelone", "datadog", "bq", "kinesis", "ibmcl", "wss", "ws", "queue"]);

/** A secret by its name, which is none itself. */
const SECRET_NAME = /\$\{secret:[A-Z0-9_]+\}/g;

export function masked(destination: string): string {
  const [, scheme = "", rest = ""] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(destination) ?? [];
  if (!OPEN_PATHS.has(scheme.toLowerCase())) return scheme === "" ? REDACTED : `${scheme}://${REDACTED}`;
  const [front = "", query] = rest.split(/\?(.*)/s, 2);
  const place = front.includes("@") ? `${REDACTED}@${front.slice(front.lastIndexOf("@") + 1)}` : front;
  if (query === undefined) return `${scheme}://${place}`;
  const parameters = query.split("&").map((parameter) => {
    const [name = "", value] = parameter.split(/=(.*)/s, 2);
    if (value === undefined) return parameter === "" ? "" : REDACTED;
    return OPEN_PARAMETERS.has(name) ? parameter : `${name}=${maskedValue(value)}`;
  });
  return `${scheme}://${place}?${parameters.join("&")}`;
}

function maskedValue(value: string): string {
  const names = value.match(SECRET_NAME) ?? [];
  const rest = value.split(SECRET_NAME).map((text) => (text === "" ? "" : REDACTED));
  return rest.flatMap((text, n) => [text, names[n] ?? ""]).join("");
}

/** Whether the deployment has this destination. Where it shows REDACTED, anything may stand. */
export function sameDestination(shown: string, wanted: string): boolean {
  if (shown === wanted) return true;
  if (!shown.includes(REDACTED)) return false;
  const pattern = shown.split(REDACTED).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^&]*");
  return new RegExp(`^${pattern}$`, "s").test(wanted);
}
