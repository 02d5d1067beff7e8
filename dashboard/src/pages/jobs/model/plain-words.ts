// What a destination answered to a test message or a push, in words of somebody who has not read its manual. The answer
// itself stands beside them.

import { statusInWords } from "../../../words.ts";

/** Advice for a failure, or undefined when its own text says as much. */
export function inPlainWords(message: string): string | undefined {
  const secret = /the secret (\S+) is not set/.exec(message);
  if (secret !== null) return `The Worker has no secret ${secret[1]}. Set it with: npx wrangler secret put ${secret[1]}`;
  const status = Number(/\berror (\d{3,4}):/.exec(message)?.[1] ?? /error uploading to \w+: (\d{3})\b/.exec(message)?.[1]);
  const words = statusInWords(status);
  if (words !== undefined) return words;
  if (/no answer within/.test(message)) return "The destination takes the connection and does not answer, or a firewall drops it.";
  if (/private, local or reserved/.test(message)) return "Records go to public hosts only. Use a public name.";
  if (/error uploading to/.test(message)) return "There was no answer: the name does not resolve, nothing listens there, or its certificate is not trusted.";
  return undefined;
}
