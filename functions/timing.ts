import type { Measure, Stage } from '../src/clip/model.ts';

/** Adds up what each stage of a request took. On Cloudflare the clock stands still while code runs: there it counts I/O only. */
export interface Timing {
  measure: Measure;
  /** A `Server-Timing` value, milliseconds: the stages that occurred, and all in all. */
  header(): string;
}

export function createTiming(now: () => number = () => performance.now()): Timing {
  const spent = new Map<Stage, number>();
  const begun = now();
  return {
    measure(stage, step) {
      const start = now();
      const book = () => spent.set(stage, (spent.get(stage) ?? 0) + now() - start);
      let result: ReturnType<typeof step>;
      try {
        result = step();
      } catch (error) {
        book();
        throw error;
      }
      if (result instanceof Promise) return result.finally(book) as typeof result;
      book();
      return result;
    },
    header() {
      const entries: [string, number][] = [...spent, ['total', now() - begun]];
      return entries.map(([stage, ms]) => `${stage};dur=${ms.toFixed(1)}`).join(', ');
    },
  };
}
