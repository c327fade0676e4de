import type { StageRow } from '../report.ts';
import { withBench } from '../workerd.ts';

const RUNS = 25;
const SHORT = 'a photo of a cat.'; // 8 tokens
const LONG = 'word '.repeat(100); // cut at the context's length

export function benchEncode(): Promise<StageRow[]> {
  return withBench(async (bench) => {
    const image = await bench.run('encodeImage', { runs: RUNS });
    const texts = await bench.run('encodeText', { runs: RUNS, prompts: [SHORT, LONG] });
    return [
      { name: 'image encoder, one picture', ms: image },
      ...texts.map(({ tokens, ms }) => ({ name: `text encoder, one prompt of ${tokens} tokens`, ms })),
    ];
  });
}
