import { createPrompts, readMerges } from '../prompts.ts';
import type { StageRow } from '../report.ts';
import { withBench } from '../workerd.ts';

const RUNS = 15;

/** 1,000 prompts: by the process's very first tokenizer, by new ones later (compiled by then), and once more by those. */
export async function benchTokenise(): Promise<StageRow[]> {
  const prompts = createPrompts(await readMerges());
  const { veryFirst, construct, first, again } = await withBench(async (bench) => {
    await bench.hold(prompts);
    return bench.run('tokenise', { runs: RUNS });
  });
  const goal = { ms: 10 };
  return [
    { name: 'make a tokenizer', ms: construct },
    { name: 'make one and tokenise 1,000 prompts, code not yet compiled', ms: veryFirst },
    { name: 'tokenise 1,000 prompts, new tokenizer', ms: first, goal },
    { name: 'tokenise 1,000 prompts, again', ms: again, goal },
  ];
}
