/** Time against size: from the default model to ViTs of the true sizes. */
import { TINY, vitBundle } from '../bundles.ts';
import type { EngineRows, GrowthRow } from '../engine-report.ts';
import { withBench } from '../workerd.ts';

const RUNS = 12;

export async function benchGrowth(): Promise<EngineRows> {
  const models = [
    { name: 'tiny-64', id: TINY.engine },
    { name: 'ViT-B/32, random', id: await vitBundle({ patch: 32, runtime: 'engine' }) },
    { name: 'ViT-B/16, random', id: await vitBundle({ patch: 16, runtime: 'engine' }) },
  ];
  const growth: GrowthRow[] = [];
  for (const { name, id } of models) {
    if (!id) continue;
    growth.push({ name, ...(await withBench((bench) => bench.run('imagesAndProduct', { id, runs: RUNS }))) });
  }
  return { growth };
}
