// A Worker as most people write it: archive the body, pipe it through the runtime's DecompressionStream and
// TextDecoderStream, cut lines, parse each. It streams, so it takes batches of any size. It keeps no ledger, knows no second
// copy of a batch and checks no bad line; its selection goes into R2 as one object.

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
    const selected = [];
    let records = 0;
    let rest = "";
    const take = (line) => {
      if (line === "") return;
      records += 1;
      if (JSON.parse(line).EdgeResponseStatus >= 400) selected.push(line);
    };
    for await (const text of toRead.pipeThrough(new DecompressionStream("gzip")).pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      lines.forEach(take);
    }
    take(rest);
    await archived;
    if (selected.length > 0) await env.ARCHIVE.put(`selected/${name}.ndjson`, `${selected.join("\n")}\n`);
    return Response.json({ ok: true, records, selected: selected.length });
  },
};
