// A bucket in another process. Local R2 is a simulation in the runtime's own process: it costs more CPU than all of the
// work on a batch, and none of it is the Worker's. Here the bytes leave the process over loopback, as they leave a deployed
// Worker for R2, and the process has only the CPU time of the Worker's own side.

/** Named as the runtime names its own, because the SDK looks at the name. */
class R2Bucket {
  #url;

  constructor(url) {
    this.#url = url;
  }

  async put(key, value) {
    const answer = await fetch(`${this.#url}/${encodeURIComponent(key)}`, { method: "PUT", body: value });
    if (!answer.ok) throw new Error(`the bucket answered ${answer.status}`);
    return await answer.json();
  }

  async head() {
    return null;
  }

  async delete() {}
}

/** `env` with that bucket. */
export function elsewhere(env) {
  return { ...env, ARCHIVE: new R2Bucket(env.BUCKET_URL) };
}
