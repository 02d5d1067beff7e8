// What is sent: one generated batch a dataset, made anew for every upload by the time in its gzip header, so that none
// comes twice.

import { generateBatch, type Batch, type Dataset } from "../../tests/support/generate.ts";

const MTIME_OFFSET = 4;

export class Batches {
  readonly dataset: Dataset;
  readonly batch: Batch;
  #made = 0;

  constructor(dataset: Dataset, records: number, seed = 7) {
    this.dataset = dataset;
    this.batch = generateBatch({ dataset, records, seed });
  }

  /** The same records as one gzip member that no upload had yet. */
  next(): Buffer {
    const gzip = Buffer.from(this.batch.gzip);
    gzip.writeUInt32LE((this.#made += 1), MTIME_OFFSET);
    return gzip;
  }
}
