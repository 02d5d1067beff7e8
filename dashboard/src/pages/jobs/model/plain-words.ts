// What a destination answered, in words of somebody who has not read its manual. The answer itself stands beside them.

const BY_STATUS: Readonly<Record<number, string>> = {
  301: "The address has moved. Use the new one; redirects are not followed, because they would carry your records elsewhere.",
  400: "The destination does not understand what it gets. Look at the output options, and at the path.",
  401: "The destination wants a token, or does not know this one. Correct the token, or the secret that it stands in.",
  403: "The destination knows who asks, and does not allow it. Correct the token, or what it may do.",
  404: "There is nothing at this address. Correct the path.",
  405: "The destination takes no POST at this address. Correct the path.",
  413: "The destination takes no pushes of this size. Lower the limits of a push.",
  415: "The destination does not read this encoding. Try a body without gzip.",
  429: "The destination asks for a pause: it gets more than it takes. Pushes wait, and nothing is lost.",
};

/** Advice for a failure, or undefined when its own text says as much. */
export function inPlainWords(message: string): string | undefined {
  const secret = /the secret (\S+) is not set/.exec(message);
  if (secret !== null) return `The Worker has no secret ${secret[1]}. Set it with: npx wrangler secret put ${secret[1]}`;
  const status = Number(/\berror (\d{3}):/.exec(message)?.[1] ?? /: (\d{3})\b/.exec(message)?.[1]);
  if (BY_STATUS[status] !== undefined) return BY_STATUS[status];
  if (status >= 300 && status < 400) return BY_STATUS[301];
  if (status >= 500) return "The destination is in trouble itself. It is tried again until it answers; nothing is lost.";
  if (/no answer within/.test(message)) return "The destination takes the connection and does not answer, or a firewall drops it.";
  if (/private, local or reserved/.test(message)) return "Records go to public hosts only. Use a public name.";
  if (/error uploading to/.test(message)) return "There was no answer: the name does not resolve, nothing listens there, or its certificate is not trusted.";
  return undefined;
}
