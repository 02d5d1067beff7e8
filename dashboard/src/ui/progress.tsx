import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

/** Not before this: what is there at once should not flicker. */
const DELAY_MILLIS = 250;

/** Something is being read, and nobody knows how long that takes. */
export function Spinner({ text }: { text: string }): JSX.Element {
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    const timer = window.setTimeout(() => setShown(true), DELAY_MILLIS);
    return () => window.clearTimeout(timer);
  }, []);
  return (
    <p class="loading" role="status">
      {isShown && <><span class="spinner" aria-hidden="true" /> {text}</>}
    </p>
  );
}

/** Long work of which the end is known: a bar, and the same in words. */
export function Progress({ label, done, of, text }: { label: string; done: number; of: number; text?: string }): JSX.Element {
  const share = of > 0 ? Math.min(1, done / of) : 0;
  return (
    <div class="progress">
      <p aria-live="polite">{label}: {text ?? `${Math.round(share * 100)} %`}</p>
      <progress aria-label={label} max={1} value={share} />
    </div>
  );
}
