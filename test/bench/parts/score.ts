import type { StageRow } from '../report.ts';
import { withBench } from '../workerd.ts';

const RUNS = 40;

export function benchScore(): Promise<StageRow[]> {
  return withBench(async (bench) => [
    { name: 'score 200 labels × 256', ms: await bench.run('score', { runs: RUNS, labels: 200 }) },
    {
      name: 'score 10,000 labels × 256',
      ms: await bench.run('score', { runs: RUNS, labels: 10_000 }),
      goal: { ms: 2 },
    },
  ]);
}
