import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { pageShown } from "../../app-state.ts";
import { useWork } from "../../load.ts";
import { signIn } from "../../sign-in.ts";
import { Button, Notice, TextField } from "../../ui/index.ts";

export function SignIn({ notice }: { notice: string | undefined }): JSX.Element {
  const [value, setValue] = useState("");
  const [isWrong, setWrong] = useState(false);
  const { isBusy, error, run } = useWork();
  useEffect(pageShown, []);
  const submit = (event: Event) => {
    event.preventDefault();
    const token = value.trim();
    if (token === "") return setWrong(true);
    void run(async () => setWrong(!(await signIn(token))));
  };
  const wrong = value.trim() === "" ? "Enter a token." : "The Worker does not know this token. Compare it with the secret that was set.";
  return (
    <section class="sign-in">
      <h1>Sign in</h1>
      {notice !== undefined && <Notice kind="info" isLive><p>{notice}</p></Notice>}
      <form onSubmit={submit}>
        <TextField
          label="Token" type="password" value={value} onInput={(text) => { setValue(text); setWrong(false); }} autocomplete="current-password" autoFocus
          hint={<>The value of <code>API_TOKEN</code>, or of <code>READ_TOKEN</code> to look without changing anything.</>}
          error={isWrong ? wrong : undefined}
        />
        <div role="alert">{error !== undefined && <Notice kind="error"><p>{error}</p></Notice>}</div>
        <Button type="submit" kind="primary" isBusy={isBusy}>Sign in</Button>
      </form>
      <details>
        <summary>Where do I find it?</summary>
        <p>Both are secrets that were set when the Worker was deployed; nobody can read them back. To set one anew:</p>
        <pre tabIndex={0}><code>npx wrangler secret put READ_TOKEN</code></pre>
        <p>On your own machine <code>npm run dev</code> has written them to <code>.dev.vars</code>.</p>
      </details>
      <p class="faint">The token is kept in this tab alone, until you sign out or close it.</p>
    </section>
  );
}
