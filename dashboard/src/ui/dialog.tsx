import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { useWork } from "../load.ts";
import { Button } from "./button.tsx";
import { Notice } from "./notice.tsx";

/** The browser's own modal dialog: it keeps the focus, Escape closes it, and the focus goes back where it was. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={element} aria-labelledby={heading} onCancel={(event) => { event.preventDefault(); onClose(); }}>
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  /** What the button says that does it. */
  action: string;
  isDanger?: boolean;
  work: () => Promise<void>;
  /** Called when it is done, and when the reader thought better of it. */
  onClose: (isDone: boolean) => void;
}

/** Asks before something happens that can not be taken back. It stays open, with the reason, when that fails. */
export function Confirm({ title, children, action, isDanger = false, work, onClose }: ConfirmProps): JSX.Element {
  const { isBusy, error, run } = useWork();
  return (
    <Dialog title={title} onClose={() => onClose(false)}>
      {children}
      {error !== undefined && <Notice kind="error" isLive><p>{error}</p></Notice>}
      <div class="actions">
        <Button onClick={() => onClose(false)}>Cancel</Button>
        <Button kind={isDanger ? "danger" : "primary"} isBusy={isBusy} onClick={() => void run(async () => { await work(); onClose(true); })}>{action}</Button>
      </div>
    </Dialog>
  );
}
