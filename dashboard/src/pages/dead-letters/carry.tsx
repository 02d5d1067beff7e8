import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { Confirm, Progress } from "../../ui/index.ts";
import { carryOut, type Fate, type Outcome, type Target } from "./calls.ts";
import { lettersText } from "./letters.ts";

/** What somebody wants to become of dead letters. */
export interface Wanted {
  fate: Fate;
  targets: readonly Target[];
  /** How many there are, as far as is known. */
  letters: number;
  /** All of the jobs, not some that were chosen. */
  isAll: boolean;
}

/** Asks, does it, and shows how far it is. */
export function Carry({ wanted, onClose }: { wanted: Wanted; onClose: (outcome: Outcome | undefined) => void }): JSX.Element {
  const { fate, targets, letters, isAll } = wanted;
  const [done, setDone] = useState<number>();
  const outcome = useRef<Outcome | undefined>(undefined);
  const what = letters === 1 ? "this dead letter" : `${isAll ? "all " : ""}${lettersText(letters)}`;
  const jobs = targets.length > 1 ? ` of ${targets.length} jobs` : "";
  const work = async () => {
    setDone(0);
    outcome.current = await carryOut(fate, targets, setDone);
  };
  return (
    <Confirm
      title={fate === "redrive" ? `Send ${what}${jobs} again?` : `Delete ${what}${jobs}?`}
      action={fate === "redrive" ? "Send again" : "Delete for good"} isDanger={fate === "delete"} work={work}
      onClose={(isDone) => onClose(isDone ? outcome.current : undefined)}
    >
      <p>
        {fate === "redrive"
          ? "They go to the end of their job's queue under a new push id. If the destination still refuses them, they come back here."
          : "Their records are gone from this job afterwards and count as discarded. The batches that they came with stay in the archive."}
      </p>
      {done !== undefined && <Progress label={fate === "redrive" ? "Sending" : "Deleting"} done={done} of={letters} text={`${done.toLocaleString("en")} of ${letters.toLocaleString("en")}`} />}
    </Confirm>
  );
}
