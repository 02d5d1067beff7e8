import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { textOf } from "./api.ts";
import { pageShown } from "./app-state.ts";
import { PAGES, type Page, type PageProps } from "./pages/registry.ts";
import { href, useLocation } from "./router.ts";
import { endSession, sessionState, type Session } from "./session.ts";
import { resume } from "./sign-in.ts";
import { SignIn } from "./pages/sign-in/index.tsx";
import { useStore } from "./store.ts";
import { setTheme, theme, type Theme } from "./theme.ts";
import { Empty, LinkButton, LoadError, Spinner } from "./ui/index.ts";

export function App(): JSX.Element {
  const state = useStore(sessionState);
  const { path } = useLocation();
  const current = PAGES.find((page) => page.name === (path[0] ?? ""));
  const title = state.kind === "signed-in" ? (current?.title ?? "No such page") : "Sign in";
  useEffect(() => {
    document.title = `${title} · logpush-edge`;
  }, [title]);
  const skip = (event: Event) => {
    event.preventDefault(); // the part behind # says which page this is
    document.getElementById("main")?.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header class="top">
        <p class="brand">logpush-edge</p>
        {state.kind === "signed-in" && <Navigation current={current} />}
        <div class="corner">
          <ThemeChoice />
          {state.kind === "signed-in" && <WhoAmI session={state.session} />}
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {state.kind === "starting" && <Start />}
        {state.kind === "signed-out" && <SignIn notice={state.notice} />}
        {state.kind === "signed-in" && (current === undefined ? <NoSuchPage /> : <LazyPage key={current.name} page={current} session={state.session} />)}
      </main>
    </>
  );
}

function Navigation({ current }: { current: Page | undefined }): JSX.Element {
  return (
    <nav aria-label="Pages">
      <ul>
        {PAGES.map((page) => (
          <li key={page.name}>
            <a href={href(page.name === "" ? [] : [page.name])} aria-current={page === current ? "page" : undefined}>{page.title}</a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function ThemeChoice(): JSX.Element {
  const value = useStore(theme);
  return (
    <label class="theme">
      <span class="unseen">Colours</span>
      <select value={value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
        <option value="system">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}

function WhoAmI({ session }: { session: Session }): JSX.Element {
  return (
    <>
      {session.access === "read" && <span class="badge badge-quiet" title="This token sees everything but credentials. To change something, sign in with API_TOKEN.">read only</span>}
      {session.hasToken && <button type="button" class="button button-plain" onClick={() => endSession()}>Sign out</button>}
    </>
  );
}

/** Finds out who the reader is. */
function Start(): JSX.Element {
  const [error, setError] = useState<string>();
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    resume().catch((e: unknown) => setError(textOf(e)));
  }, [attempt]);
  const retry = () => {
    setError(undefined);
    setAttempt(attempt + 1);
  };
  if (error !== undefined) return <LoadError what="Your session" error={error} retry={retry} />;
  return <Spinner text="Asking the Worker who you are …" />;
}

/** A page whose code is loaded when somebody goes there. */
function LazyPage({ page, session }: { page: Page; session: Session }): JSX.Element {
  const { path, query } = useLocation();
  const [loaded, setLoaded] = useState<ComponentType<PageProps>>();
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let isCurrent = true;
    page.load().then(
      (module) => {
        if (!isCurrent) return;
        pageShown();
        setLoaded(() => module.default);
      },
      () => isCurrent && setFailed(true),
    );
    return () => void (isCurrent = false);
  }, [page]);
  if (failed) {
    return <LoadError what="This part of the page" error="The Worker may have been deployed anew, or your connection is gone. Load the page again." retry={() => window.location.reload()} />;
  }
  if (loaded === undefined) return <Spinner text={`Loading ${page.title} …`} />;
  const Component = loaded;
  return <Component path={page.name === "" ? path : path.slice(1)} query={query} session={session} />;
}

function NoSuchPage(): JSX.Element {
  return (
    <Empty title="There is no such page">
      <p>The address may be mistyped, or from another version.</p>
      <p><LinkButton href={href([])}>To the overview</LinkButton></p>
    </Empty>
  );
}
