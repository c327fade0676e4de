import { describe, expect, it } from 'vitest';
import { ClipError } from '../../src/clip/errors.ts';
import { decodeLabelSet, embedLabels, encodeLabelSet, type LabelSet } from '../../src/clip/label-set.ts';
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { writeSafeTensors } from '../../src/clip/safetensors.ts';
import { maxDifference, readBytes, readJson } from '../golden.ts';

const set: LabelSet = {
  name: 'pets',
  model: 'tiny',
  revision: 'r1',
  labels: ['cat', 'dög'],
  templates: ['a {}.'],
  embeddings: Float32Array.from([1, 0, 0, 0, 0.6, 0.8]),
  calibration: null,
};
const madeFor = { revision: 'r1', embeddingDim: 3 };

const metadata = {
  format: 'edgeclip-label-set/1',
  name: 'pets',
  model: 'tiny',
  revision: 'r1',
  labels: '["a"]',
  templates: '[]',
};
const file = (changes: Record<string, string>, data = [1, 0, 0], shape = [1, 3]) =>
  writeSafeTensors('embeddings', { shape, data: Float32Array.from(data) }, { ...metadata, ...changes });

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return error instanceof ClipError ? error.code : String(error);
  }
}

it('reads what it wrote', () => {
  expect(decodeLabelSet(encodeLabelSet(set), madeFor)).toEqual(set);
});

it('reads the sets that clip-export wrote into the default bundle', () => {
  const manifest = parseModelManifest(readJson('public/models/tiny-64/model.json'));
  const { id, revision, embeddingDim } = manifest;
  for (const { name, file } of manifest.labelSets) {
    const read = decodeLabelSet(readBytes(`public/models/${id}/${file.path}`), { revision, embeddingDim });
    expect(read.name).toBe(name);
    expect(read.embeddings).toHaveLength(read.labels.length * embeddingDim);
  }
});

it('widens float16', () => {
  const header = JSON.stringify({
    __metadata__: metadata,
    embeddings: { dtype: 'F16', shape: [1, 3], data_offsets: [0, 6] },
  });
  const bytes = new Uint8Array(8 + header.length + 6);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(new TextEncoder().encode(header), 8);
  bytes.set([0x00, 0x00, 0xcd, 0x38, 0x66, 0xba], 8 + header.length); // 0, 0.6, −0.8
  expect(maxDifference(decodeLabelSet(bytes, madeFor).embeddings, [0, 0.6, -0.8])).toBeLessThan(5e-4);
});

describe('a file that is not usable', () => {
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['text', new TextEncoder().encode('this is no label set at all')],
    ['a header longer than the file', encodeLabelSet(set).subarray(0, 40)],
    ['half of its data', encodeLabelSet(set).subarray(0, -8)],
    ['another format', file({ format: 'edgeclip-label-set/9' })],
    ['a name that is none', file({ name: 'Not A Name' })],
    ['labels that are no JSON', file({ labels: 'cat' })],
    ['labels that are numbers', file({ labels: '[1]' })],
    ['no labels', file({ labels: '[]' }, [], [0, 3])],
    ['a label twice', file({ labels: '["a","a"]' }, [1, 0, 0, 1, 0, 0], [2, 3])],
    ['more labels than rows', file({ labels: '["a","b"]' })],
    ['another dimension', file({}, [1, 0], [1, 2])],
    ['a row that is not of length 1', file({}, [1, 1, 0])],
    ['not a number', file({}, [Number.NaN, 0, 0])],
    ['no tensor', writeSafeTensors('other', { shape: [1, 3], data: Float32Array.from([1, 0, 0]) }, metadata)],
  ])('%s', (_, bytes) => {
    expect(codeOf(() => decodeLabelSet(bytes, madeFor))).toBe('invalid_label_set');
  });

  it('one for another revision; another id of the same revision is the same model', () => {
    expect(decodeLabelSet(file({ model: 'other' }), madeFor).model).toBe('other');
    expect(codeOf(() => decodeLabelSet(file({ revision: 'r2' }), madeFor))).toBe('model_mismatch');
  });
});

describe('what calibration added', () => {
  /** As clip-export writes it: the labels' rows, and behind them those of the background. */
  function calibratedFile(changes: Record<string, string>, backgroundRows = [0, 1, 0, 0, 0, 1]) {
    const header = JSON.stringify({
      __metadata__: { ...metadata, ...changes },
      embeddings: { dtype: 'F32', shape: [1, 3], data_offsets: [0, 12] },
      background: { dtype: 'F32', shape: [2, 3], data_offsets: [12, 36] },
    });
    const bytes = new Uint8Array(8 + header.length + 36);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    bytes.set(new Uint8Array(Float32Array.from([1, 0, 0, ...backgroundRows]).buffer), 8 + header.length);
    return bytes;
  }
  const stated = {
    temperature: '1.5',
    threshold: '0.25',
    falsePositiveRate: '0.05',
    platt: '{"scale":0.5,"bias":-2}',
    background: '["a photo.","nothing."]',
    calibratedOn: '{"images":"photos","fittedOn":20}',
  };

  it('is read', () => {
    expect(decodeLabelSet(calibratedFile(stated), madeFor).calibration).toEqual({
      temperature: 1.5,
      threshold: 0.25,
      falsePositiveRate: 0.05,
      platt: { scale: 0.5, bias: -2 },
      background: { texts: ['a photo.', 'nothing.'], embeddings: Float32Array.from([0, 1, 0, 0, 0, 1]) },
      calibratedOn: { images: 'photos', fittedOn: 20 },
    });
  });

  it('may be a part of that, or nothing, and other metadata is none of it', () => {
    expect(decodeLabelSet(file({ temperature: '2', examples: '[3]' }), madeFor).calibration).toEqual({
      temperature: 2,
    });
    expect(decodeLabelSet(file({ prompts: '{"a":["an a"]}' }), madeFor).calibration).toBeNull();
    expect(decodeLabelSet(file({ background: '[]' }), madeFor).calibration).toBeNull();
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ temperature: '0' }, /temperature must be/],
    [{ temperature: 'NaN' }, /temperature must be JSON/],
    [{ temperature: '"1.5"' }, /temperature must be a number/],
    [{ threshold: '1.2' }, /threshold must be/],
    [{ falsePositiveRate: '-0.1' }, /falsePositiveRate must be/],
    [{ platt: '{"scale":1}' }, /platt.bias must be/],
    [{ platt: '[1, 2]' }, /platt must be an object/],
    [{ background: '["a photo."]' }, /"background" is \[2,3\], expected \[1,3\]/],
    [{ background: '["a photo.", 7]' }, /background\[1\] must be a string/],
    [{ calibratedOn: '3' }, /calibratedOn must be an object/],
  ])('%o is refused by name', (changes, message) => {
    const act = () => decodeLabelSet(calibratedFile({ ...stated, ...changes }), madeFor);
    expect(codeOf(act)).toBe('invalid_label_set');
    expect(act).toThrow(message);
  });

  it('needs the background’s rows, of length 1', () => {
    expect(() => decodeLabelSet(file({ background: '["a photo."]' }), madeFor)).toThrow('no float tensor "background"');
    const act = () => decodeLabelSet(calibratedFile(stated, [0, 1, 0, 0, 1, 1]), madeFor);
    expect(act).toThrow('row 1 of "background" has not length 1');
  });
});

describe('embedLabels', () => {
  /** A made-up text encoder: a direction for each prompt, and a note of what was asked. */
  function encoder() {
    const asked: string[] = [];
    return {
      asked,
      embedTexts: async (texts: readonly string[]) => {
        asked.push(...texts);
        return texts.map((text) => (text.startsWith('big') ? Float32Array.from([0, 1]) : Float32Array.from([1, 0])));
      },
    };
  }

  it('fills templates, averages over them and normalises', async () => {
    const { asked, embedTexts } = encoder();
    const rows = await embedLabels([{ label: 'cat' }, { label: '$&' }], ['a {}, {}!', 'big {}'], embedTexts);
    expect(asked).toEqual(['a cat, cat!', 'big cat', 'a $&, $&!', 'big $&']);
    expect(maxDifference(rows, [Math.SQRT1_2, Math.SQRT1_2, Math.SQRT1_2, Math.SQRT1_2])).toBeLessThan(1e-7);
  });

  it('encodes a label’s own prompts as they are', async () => {
    const { asked, embedTexts } = encoder();
    await embedLabels([{ label: 'cat', prompts: ['a cat', 'big cat'] }, { label: 'dog' }], ['{}'], embedTexts);
    expect(asked).toEqual(['a cat', 'big cat', 'dog']);
  });

  const many = (count: number) => Array.from({ length: count }, (_, i) => ({ label: `label ${i}` }));

  it.each([
    ['no_labels', [], ['{}']],
    ['too_many_labels', many(1001), ['{}']],
    ['empty_label', [{ label: 'a' }, { label: ' ' }], ['{}']],
    ['empty_label', [{ label: 'a', prompts: [''] }], ['{}']],
    ['duplicate_label', [{ label: 'a' }, { label: 'a' }], ['{}']],
    ['invalid_template', [{ label: 'a' }], ['no place']],
    ['invalid_template', [{ label: 'a' }], []],
    ['invalid_template', [{ label: 'a' }], Array(101).fill('{}')],
    ['too_many_prompts', many(1000), Array(5).fill('{}')],
    ['invalid_request', [{ label: 'a'.repeat(1001) }], ['{}']],
  ])('%s', async (code, labels, templates) => {
    const { asked, embedTexts } = encoder();
    await expect(embedLabels(labels, templates, embedTexts)).rejects.toMatchObject({ code });
    expect(asked).toEqual([]); // nothing was encoded before the check
  });
});
