import { copyBundles } from './bundles.ts';
import { median } from './report.ts';
import { withBench } from './workerd.ts';

await copyBundles();
const runs = Number(process.argv[2] ?? 6);
if (process.argv[3] !== 'engine') {
  const { ours, library } = await withBench((b) =>
    b.run('imagesInTurns', { engine: 'rn50', onnx: process.argv[4] ?? 'rn50-onnx', runs }),
  );
  console.log(
    'engine',
    median(ours).toFixed(0),
    Math.min(...ours).toFixed(0),
    'onnx f32',
    median(library).toFixed(0),
    Math.min(...library).toFixed(0),
    'ratio',
    (median(library) / median(ours)).toFixed(2),
  );
}
const first = await withBench((b) => b.run('firstEmbedding', { id: 'rn50' }));
console.log(first, 'over', (first.heapBytes - first.modelBytes) / 2 ** 20);
