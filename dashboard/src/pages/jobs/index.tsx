import type { JSX } from "preact";
import type { PageProps } from "../registry.ts";
import { Editor } from "./editor.tsx";
import { JobList } from "./list.tsx";

/** `#/jobs`, `#/jobs/new?from=zones/z/7`, `#/jobs/zones/z/7`. */
export default function Jobs({ path, query, session }: PageProps): JSX.Element {
  const canWrite = session.access === "write";
  const [first, id, job] = path;
  if (first === "new") {
    const from = query.get("from") ?? "";
    return <Editor key={`new ${from}`} canWrite={canWrite} from={from} />;
  }
  if (first !== undefined && id !== undefined && job !== undefined) {
    return <Editor key={path.join("/")} canWrite={canWrite} scope={`${first}/${id}`} id={job} />;
  }
  return <JobList canWrite={canWrite} />;
}
