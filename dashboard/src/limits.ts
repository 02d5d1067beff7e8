// What scripts/cost/limits.mjs reads from src/limits.rs; the build of the page puts it here.

declare const WORKER_LIMITS: Record<string, number>;

export const LIMITS: Record<string, number> = WORKER_LIMITS;
