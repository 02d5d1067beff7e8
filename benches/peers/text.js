// A Worker as many people write it for batches that fit in memory: archive the body, inflate it with the runtime's
// DecompressionStream, take it as one text, split it, parse every line. A default batch (119 MB) is more than an isolate
// can hold this way. It keeps no ledger, knows no second copy of a batch and checks no bad line; its selection goes into R2
// as one object.

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return Response.json({ ok: true });
    if (request.headers.get("Authorization") !== `Bearer ${env.INGEST_SECRET}`) {
      return new Response("unauthorized", { status: 401 });
    }
    const name = `${pathname.slice(1)}/${crypto.randomUUID()}`;
    const [toArchive, toRead] = request.body.tee();
    const archived = env.ARCHIVE.put(`${name}.log.gz`, toArchive);
    const text = await new Response(toRead.pipeThrough(new DecompressionStream("gzip"))).text();
    const selected = [];
    let records = 0;
    for (const line of text.split("\n")) {
      if (line === "") continue;
      records += 1;
      if (JSON.parse(line).EdgeResponseStatus >= 400) selected.push(line);
    }
    await archived;
    if (selected.length > 0) await env.ARCHIVE.put(`selected/${name}.ndjson`, `${selected.join("\n")}\n`);
    return Response.json({ ok: true, records, selected: selected.length });
  },
};
