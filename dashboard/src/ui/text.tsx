import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ago, bytes, count, digits, localTime, utcTime } from "../format.ts";
import { isFirstPage } from "../app-state.ts";
import { Button } from "./button.tsx";

/** The page's first heading. It takes the focus when the reader comes from another page, so that it is read out. */
export function Heading({ children }: { children: ComponentChildren }): JSX.Element {
  const element = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (!isFirstPage()) element.current?.focus();
  }, []);
  return <h1 ref={element} tabIndex={-1}>{children}</h1>;
}

/** A large number readably, all digits on hover. */
export function Count({ value }: { value: number }): JSX.Element {
  return <span title={digits(value)}>{count(value)}</span>;
}

export function Bytes({ value }: { value: number }): JSX.Element {
  return <span title={`${digits(value)} bytes`}>{bytes(value)}</span>;
}

/** An instant in the reader's zone, UTC on hover. With `isAgo`, how long ago it was. */
export function Time({ at, isAgo = false, empty = "never" }: { at: string | null | undefined; isAgo?: boolean; empty?: string }): JSX.Element {
  if (at === null || at === undefined) return <span class="faint">{empty}</span>;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <span>{at}</span>;
  const now = new Date();
  const title = isAgo ? `${localTime(date, now)} (${utcTime(date)})` : utcTime(date);
  return <time dateTime={date.toISOString()} title={title}>{isAgo ? ago(date, now) : localTime(date, now)}</time>;
}

/** How something is: a word and a colour, never the colour alone. */
export function Badge({ kind, children }: { kind: "good" | "warning" | "error" | "quiet"; children: ComponentChildren }): JSX.Element {
  return <span class={`badge badge-${kind}`}>{children}</span>;
}

/** Text to be taken elsewhere, with a button that copies it. */
export function CopyText({ text, label }: { text: string; label: string }): JSX.Element {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied.");
    } catch {
      setSaid("The browser does not let this page copy: select the text.");
    }
  };
  return (
    <div class="copy">
      <pre tabIndex={0} aria-label={label}><code>{text}</code></pre>
      <p><Button onClick={() => void copy()} label={`Copy ${label}`}>Copy</Button> <span role="status">{said}</span></p>
    </div>
  );
}
