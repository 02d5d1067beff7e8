import type { ComponentChildren, JSX } from "preact";
import { Button } from "./button.tsx";

type Kind = "info" | "good" | "warning" | "error";

const SIGNS: Record<Kind, string> = { info: "i", good: "✓", warning: "!", error: "✗" };

/**
 * A message in the page. With `isLive` it is read out when it appears: at once for an error, else when the reader's
 * program has finished its sentence.
 */
export function Notice({ kind, title, isLive = false, children }: { kind: Kind; title?: ComponentChildren; isLive?: boolean; children?: ComponentChildren }): JSX.Element {
  const role = !isLive ? undefined : kind === "error" ? "alert" : "status";
  return (
    <div class={`notice notice-${kind}`} role={role}>
      <span class="sign" aria-hidden="true">{SIGNS[kind]}</span>
      <div>
        {title !== undefined && <p class="notice-title">{title}</p>}
        {children}
      </div>
    </div>
  );
}

/** Something could not be read: why, and another try. */
export function LoadError({ what, error, retry }: { what: string; error: string; retry: () => void }): JSX.Element {
  return (
    <Notice kind="error" title={`${what} could not be read`} isLive>
      <p>{error}</p>
      <p><Button onClick={retry}>Try again</Button></p>
    </Notice>
  );
}

/** Nothing there yet: what that means, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <section class="empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}
