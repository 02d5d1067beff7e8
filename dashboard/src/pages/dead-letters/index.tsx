import { Heading, Notice } from "../../ui/index.ts";

export default function Page() {
  return (
    <>
      <Heading>Dead letters</Heading>
      <Notice kind="info">This page is not there yet. The API and the scripts can do all of it: docs/api.md.</Notice>
    </>
  );
}
