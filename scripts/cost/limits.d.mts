export function limits(): Record<string, number>;
export const LIMITS: Record<string, number>;
