// Light or dark: as the system has it, unless the reader said otherwise. This choice is all that outlives the tab.

import { store } from "./store.ts";

export type Theme = "system" | "light" | "dark";

const KEY = "logpush-edge-theme";

function kept(): Theme {
  const value = window.localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = store<Theme>(kept());

function apply(): void {
  const value = theme.get();
  if (value === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", value);
}

apply();
theme.subscribe(apply);

export function setTheme(value: Theme): void {
  if (value === "system") window.localStorage.removeItem(KEY);
  else window.localStorage.setItem(KEY, value);
  theme.set(value);
}

/** Calls back when colours change, whoever changed them; returns what ends that. */
export function onColours(listener: () => void): () => void {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", listener);
  const stop = theme.subscribe(listener);
  return () => {
    system.removeEventListener("change", listener);
    stop();
  };
}
