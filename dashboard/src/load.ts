// Reading something from the API, and again from time to time while somebody looks.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { textOf } from "./api.ts";

/** Tells how far a reading is: calls that were answered, of all that are to be made. */
export type Tell = (progress: { done: number; of: number }) => void;

export interface Loaded<T> {
  /** The last good answer, for the same key; kept while it is read again and when that fails. */
  value: T | undefined;
  /** When that was. */
  at: Date | undefined;
  /** Why the last attempt failed. */
  error: string | undefined;
  isLoading: boolean;
  /** How far the reading is, where it tells. */
  progress: { done: number; of: number } | undefined;
  /** Reads again now. */
  reload(): void;
}

type State<T> = { key: string; value?: T; at?: Date; error?: string; isLoading: boolean; progress?: { done: number; of: number } };

/**
 * Reads when it is first drawn, when `key` changes (what was there for another key is gone at once), and every
 * `everySeconds` while the tab is visible; a tab that comes back into view after that time reads at once.
 */
export function useLoad<T>(key: string, read: (signal: AbortSignal, tell: Tell) => Promise<T>, { everySeconds }: { everySeconds?: number } = {}): Loaded<T> {
  const [state, setState] = useState<State<T>>({ key, isLoading: true });
  const [asked, setAsked] = useState(0);
  const reader = useRef(read);
  reader.current = read;

  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    let isReading = false;
    let readAt = 0;
    const isCurrent = () => !abort.signal.aborted;
    const schedule = () => {
      window.clearTimeout(timer);
      if (everySeconds === undefined || document.hidden || !isCurrent()) return;
      timer = window.setTimeout(() => void run(), Math.max(0, readAt + everySeconds * 1_000 - Date.now()));
    };
    const run = async () => {
      if (isReading) return;
      isReading = true;
      setState((old) => (old.key === key ? { ...old, isLoading: true } : { key, isLoading: true }));
      const tell: Tell = (progress) => isCurrent() && setState((old) => ({ ...old, progress }));
      try {
        const value = await reader.current(abort.signal, tell);
        if (isCurrent()) setState({ key, value, at: new Date(), isLoading: false });
      } catch (error) {
        if (isCurrent()) setState(({ progress: _, ...old }) => ({ ...old, error: textOf(error), isLoading: false }));
      } finally {
        isReading = false;
        readAt = Date.now();
        schedule();
      }
    };
    void run();
    document.addEventListener("visibilitychange", schedule);
    return () => {
      abort.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", schedule);
    };
  }, [key, everySeconds, asked]);

  const reload = useCallback(() => setAsked((n) => n + 1), []);
  const { value, at, error, isLoading, progress }: State<T> = state.key === key ? state : { key, isLoading: true };
  return { value, at, error, isLoading, progress, reload };
}

/** Work that a button starts: whether it is under way, and how the last one failed. */
export function useWork(): { isBusy: boolean; error: string | undefined; run(work: () => Promise<void>): Promise<void>; clear(): void } {
  const [state, setState] = useState<{ isBusy: boolean; error?: string }>({ isBusy: false });
  const run = useCallback(async (work: () => Promise<void>) => {
    setState({ isBusy: true });
    try {
      await work();
      setState({ isBusy: false });
    } catch (error) {
      setState({ isBusy: false, error: textOf(error) });
    }
  }, []);
  const clear = useCallback(() => setState({ isBusy: false }), []);
  return { isBusy: state.isBusy, error: state.error, run, clear };
}
