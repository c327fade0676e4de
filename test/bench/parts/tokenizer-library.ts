import { goldenJson } from '../../golden.ts';
import { createPrompts, readMerges } from '../prompts.ts';
import { type ContestRow, median } from '../report.ts';
import type { TokenizerContest } from '../tasks/tokenizer-library.ts';
import { createTokenizerJson, TOKENIZER_CONFIG } from '../tokenizer-json.ts';
import { withBench } from '../workerd.ts';

const RUNS = 7;

/** Ours against @huggingface/tokenizers. */
export async function contestTokenizer(): Promise<ContestRow[]> {
  const merges = await readMerges();
  const contest: TokenizerContest = {
    tokenizerJson: JSON.stringify(createTokenizerJson(merges)),
    config: TOKENIZER_CONFIG,
    prompts: createPrompts(merges),
    golden: goldenJson<{ cases: TokenizerContest['golden'] }>('tokens').cases,
  };
  return withBench(async (bench) => {
    await bench.hold(contest);
    const construct = await bench.run('createTokenizers', { runs: RUNS });
    const prompts = await bench.run('tokenisePrompts', { runs: RUNS });
    const { ours, library, cleaned, cases } = await bench.run('goldenTokens');
    const medians = (times: { ours: number[]; library: number[] }) => ({
      ours: median(times.ours),
      library: median(times.library),
    });
    return [
      { name: 'tokenizer: make one', ...medians(construct), unit: 'ms' },
      { name: 'tokenizer: 1,000 prompts', ...medians(prompts), unit: 'ms' },
      { name: "tokenizer: the reference's strings right", ours, library, unit: `of ${cases}` },
      { name: '… and the library behind our text cleaning', ours, library: cleaned, unit: `of ${cases}` },
    ];
  });
}
