import type { ComponentChildren, JSX } from "preact";

export interface ButtonProps {
  children: ComponentChildren;
  onClick?: (event: MouseEvent) => void;
  type?: "button" | "submit";
  kind?: "plain" | "primary" | "danger" | "quiet";
  /** What it started is under way: it can be seen and focused, and does nothing. */
  isBusy?: boolean;
  /** It can not be used, and this is why. It stays in the tab order, so that the reason can be found. */
  disabledBecause?: string | undefined;
  /** For a button whose text alone does not say what of. */
  label?: string;
  title?: string;
  pressed?: boolean;
  class?: string;
}

export function Button(props: ButtonProps): JSX.Element {
  const { children, onClick, type = "button", kind = "plain", isBusy = false, disabledBecause, label, title, pressed } = props;
  const isOff = isBusy || disabledBecause !== undefined;
  const click = (event: MouseEvent) => {
    if (isOff) event.preventDefault(); // a form is not sent either
    else onClick?.(event);
  };
  return (
    <button
      type={type} class={`button button-${kind} ${props.class ?? ""}`} onClick={click} aria-disabled={isOff || undefined}
      aria-busy={isBusy || undefined} aria-label={label} aria-pressed={pressed} title={disabledBecause ?? title}
    >
      {isBusy && <span class="spinner" aria-hidden="true" />}
      {children}
    </button>
  );
}

/** A link that looks like a button, for going somewhere. */
export function LinkButton({ href, children, kind = "plain", label }: { href: string; children: ComponentChildren; kind?: "plain" | "primary"; label?: string }): JSX.Element {
  return <a class={`button button-${kind}`} href={href} aria-label={label}>{children}</a>;
}
