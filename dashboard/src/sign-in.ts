// Finding out what a token may do: `GET /client/v4/user/tokens/verify`.

import { api, ApiFailure } from "./api.ts";
import { beginSession, endSession, token } from "./session.ts";

interface Verified {
  access: "read" | "write";
}

/** What this token may do, or why it opens nothing. `null` asks without a token. */
async function verify(bearer: string | null): Promise<Verified | { access: undefined; why: string }> {
  try {
    return await api<Verified>("user/tokens/verify", { token: bearer });
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) return { access: undefined, why: error.message };
    throw error;
  }
}

/** Signs in with a token; false when the Worker does not know it. */
export async function signIn(bearer: string): Promise<boolean> {
  const verified = await verify(bearer);
  if (verified.access === undefined) return false;
  beginSession({ access: verified.access, hasToken: true }, bearer);
  return true;
}

/**
 * What the page begins with: the token that this tab has, or none when something in front of the Worker vouches for the
 * reader. Throws when the Worker can not be asked.
 */
export async function resume(): Promise<void> {
  const kept = token();
  if (kept !== null && (await signIn(kept))) return;
  const verified = await verify(null);
  if (verified.access !== undefined) beginSession({ access: verified.access, hasToken: false }, null);
  // Cloudflare Access let the reader in and the Worker did not: which is for whoever set it up.
  else if (verified.why.startsWith("Cloudflare Access: ")) endSession(verified.why);
  else endSession(kept === null ? undefined : "The Worker does not take this token any more. Sign in again.");
}
