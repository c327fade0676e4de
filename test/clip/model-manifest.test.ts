import { describe, expect, it } from 'vitest';
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { readJson } from '../golden.ts';

const SIGLIP = 'test/fixtures/golden/models/siglip/model.json';

type Json = Record<string, unknown>;

/** The default model's manifest with one field replaced; a path like "image.mean". */
function changed(path: string, value: unknown): Json {
  const manifest = readJson<Json>('public/models/tiny-64/model.json');
  const keys = path.split('.');
  let at = manifest;
  for (const key of keys.slice(0, -1)) at = at[key] as Json;
  at[keys.at(-1)!] = value;
  return manifest;
}

it('reads the default model’s', () => {
  const manifest = parseModelManifest(changed('title', 'A model'));
  expect(manifest).toMatchObject({ id: 'tiny-64', title: 'A model', embeddingDim: 256, image: { size: 64 } });
  expect(manifest.labelSets.map(({ name }) => name)).toEqual(['imagenet-200', 'cifar-10']);
});

it('takes a model without a text encoder, without label sets and without measurements', () => {
  const manifest = changed('text', null);
  manifest.labelSets = [];
  delete manifest.quality;
  expect(parseModelManifest(manifest)).toMatchObject({ text: null, labelSets: [], quality: {} });
});

it('says where its files lie', () => {
  expect(parseModelManifest(changed('title', 'A model')).storage).toBe('assets');
  expect(parseModelManifest(changed('storage', 'r2')).storage).toBe('r2');
  expect(() => parseModelManifest(changed('storage', 'disk'))).toThrow(/^storage must be/);
});

it('takes a sigmoid model', () => {
  const similarity = { kind: 'sigmoid', logitScale: 117.3, logitBias: -12.9 };
  expect(parseModelManifest(changed('similarity', similarity)).similarity).toEqual(similarity);
});

describe('an encoder of the engine', () => {
  const transformer = { layers: 12, width: 256, heads: 4, mlp: 1024, activation: 'quick_gelu', layerNormEps: 1e-5 };
  const image = { ...transformer, patch: 8, preNorm: true, pooling: 'cls' };
  const text = { ...transformer, causal: true, pooling: 'first-eot' };

  /** @param encoder "image" or "text" */
  const onEngine = (encoder: string, architecture: unknown): Json => {
    const manifest = changed(`${encoder}.runtime`, 'engine');
    (manifest[encoder] as Json).architecture = architecture;
    return manifest;
  };

  it('has its architecture', () => {
    expect(parseModelManifest(onEngine('image', image)).image).toMatchObject({
      runtime: 'engine',
      architecture: image,
    });
    expect(parseModelManifest(onEngine('text', text)).text).toMatchObject({ runtime: 'engine', architecture: text });
  });

  it.each<[string, object, RegExp]>([
    ['image', { layers: 0 }, /^image\.architecture\.layers must be/],
    ['image', { width: 252 }, /^image\.architecture\.width must be/],
    ['image', { heads: 3 }, /^image\.architecture\.heads must divide the width 256 into multiples of 8, found 3/],
    ['image', { heads: 64 }, /^image\.architecture\.heads must divide the width 256 into multiples of 8, found 64/],
    ['image', { mlp: 1020 }, /^image\.architecture\.mlp must be/],
    ['image', { activation: 'relu' }, /^image\.architecture\.activation must be one of quick_gelu, gelu, gelu_tanh/],
    ['image', { layerNormEps: 0 }, /^image\.architecture\.layerNormEps must be/],
    ['image', { patch: 65 }, /^image\.architecture\.patch must be at most the image's 64 pixels, found 65/],
    ['image', { preNorm: 'yes' }, /^image\.architecture\.preNorm must be true or false/],
    ['image', { pooling: 'map' }, /^image\.architecture\.pooling must be one of cls/],
    ['text', { causal: undefined }, /^text\.architecture\.causal must be true or false/],
    ['image', { classToken: false }, /^image\.architecture\.pooling must be mean or attention .*, found cls/],
    ['image', { projection: 'none' }, /^image\.architecture\.projection must be true or false/],
    ['text', { pooling: 'mean' }, /^text\.architecture\.pooling must be one of first-eot, last/],
    ['image', { fast: 'all' }, /^image\.architecture\.fast must be an array/],
    ['image', { fast: ['layers.0.norm1'] }, /^image\.architecture\.fast\[0\] must be a string like/],
    ['image', { fast: ['layers.00.fc1'] }, /^image\.architecture\.fast\[0\] must be a string like/],
    [
      'image',
      { fast: ['layers.12.fc1'] },
      /^image\.architecture\.fast\[0\] must be of one of 12 layers, found layers\.12\.fc1/,
    ],
    [
      'text',
      { fast: ['layers.1.out', 'layers.1.out'] },
      /^text\.architecture\.fast\[1\] must be named once, found layers\.1\.out/,
    ],
    [
      'image',
      { fast: ['layers.0.fc2'], mlp: 1032 },
      /^image\.architecture\.fast\[0\] must have a multiple of 16 inputs, layers\.0\.fc2 has 1032/,
    ],
    [
      'image',
      { fast: ['layers.0.out'], width: 264, heads: 1 },
      /^image\.architecture\.fast\[0\] must have a multiple of 16 inputs, layers\.0\.out has 264/,
    ],
    ['text', { pooling: 'last' }, /^text\.pooling must be the architecture's last, found first-eot/],
  ])('names what of it is wrong: %s %j', (encoder, wrong, message) => {
    const architecture = { ...(encoder === 'image' ? image : text), ...wrong };
    expect(() => parseModelManifest(onEngine(encoder, architecture))).toThrow(message);
  });

  it('may be SigLIP’s: no class token, attention pooling, no projection, padded texts', () => {
    const siglip = { ...image, classToken: false, preNorm: false, pooling: 'attention', projection: false };
    expect(parseModelManifest(onEngine('image', siglip)).image).toMatchObject({ architecture: siglip });
    const manifest = onEngine('text', { ...text, causal: false, pooling: 'last' });
    Object.assign(manifest.text as Json, { pooling: 'last', padTo: 77, padId: 1 });
    expect(parseModelManifest(manifest).text).toMatchObject({ pooling: 'last', padId: 1 });
  });

  it('has a class token and a projection where nothing is said of them', () => {
    const both = { architecture: { classToken: true, projection: true } };
    expect(parseModelManifest(onEngine('image', image)).image).toMatchObject(both);
  });

  const resnet = { kind: 'resnet', stages: [3, 4, 6, 3], width: 64, heads: 32 };

  it('may be a ResNet, and is a Vision Transformer where nothing is said', () => {
    expect(parseModelManifest(onEngine('image', resnet)).image).toMatchObject({ architecture: resnet });
    expect(parseModelManifest(onEngine('image', image)).image).toMatchObject({ architecture: { kind: 'vit' } });
    expect(parseModelManifest(onEngine('image', { ...image, kind: 'vit' })).image).toMatchObject({
      architecture: { kind: 'vit' },
    });
  });

  it.each<[object, RegExp]>([
    [{ kind: 'convnext' }, /^image\.architecture\.kind must be one of vit, resnet, found "convnext"/],
    [{ stages: [3, 4, 6] }, /^image\.architecture\.stages must be an array of 4 items/],
    [{ stages: [3, 4, 0, 3] }, /^image\.architecture\.stages\[2\] must be a number in its range, found 0/],
    [{ width: 63 }, /^image\.architecture\.width must be a number in its range, found 63/],
    [{ width: -2 }, /^image\.architecture\.width must be/],
    [{ heads: 3 }, /^image\.architecture\.heads must divide 32 times the width 64 into multiples of 8, found 3/],
    [{ heads: 512 }, /^image\.architecture\.heads must divide 32 times the width 64 into multiples of 8, found 512/],
  ])('names what of a ResNet is wrong: %j', (wrong, message) => {
    expect(() => parseModelManifest(onEngine('image', { ...resnet, ...wrong }))).toThrow(message);
  });

  it('that is a ResNet has an image that can be halved so often', () => {
    const manifest = onEngine('image', resnet);
    (manifest.image as Json).size = 31;
    expect(() => parseModelManifest(manifest)).toThrow(
      /^image\.architecture must be of an image of at least 32 pixels a side, found 31/,
    );
  });

  it.each<[object, RegExp]>([
    [{ padTo: 64, padId: 0 }, /^text\.padTo must be the contextLength 77, found 64/],
    [{ padTo: '77', padId: 0 }, /^text\.padTo must be a number/],
    [{ padTo: 77 }, /^text\.padId must be a number in its range, found nothing/],
    [{ padTo: 77, padId: 49408 }, /^text\.padId must be a number in its range, found 49408/],
    [{ padTo: 77, padId: -1 }, /^text\.padId must be a number in its range, found -1/],
  ])('names what of the padding is wrong: %j', (padding, message) => {
    const manifest = onEngine('text', text);
    Object.assign(manifest.text as Json, padding);
    expect(() => parseModelManifest(manifest)).toThrow(message);
  });

  it('needs one', () => {
    expect(() => parseModelManifest(onEngine('image', null))).toThrow(/^image\.architecture/);
  });
});

describe('a tokenizer of a tokenizer.json', () => {
  const tokenizer = () => structuredClone(readJson<{ text: { tokenizer: Json } }>(SIGLIP).text.tokenizer);
  const text = (changes: Json, tokens: Json = {}) => {
    const manifest = readJson<Json>(SIGLIP);
    Object.assign(manifest.text as Json, { tokenizer: { ...tokenizer(), ...tokens } }, changes);
    return () => parseModelManifest(manifest).text;
  };

  it('is read', () => {
    expect(text({})()).toMatchObject({
      pooling: 'last',
      padId: 1,
      tokenizer: { kind: 'hf-tokenizer', model: 'Unigram', clean: 'siglip', charsmap: 'longest', suffix: [1] },
    });
  });

  it('may have no end of text where the last token is pooled', () => {
    expect(text({}, { endOfText: null, suffix: [] })()?.tokenizer).toMatchObject({ endOfText: null, suffix: [] });
  });

  it.each<[Json, RegExp]>([
    [{ kind: 'spm' }, /^text\.tokenizer\.kind must be one of clip-bpe, hf-tokenizer, found "spm"/],
    [{ model: 'WordPiece' }, /^text\.tokenizer\.model must be one of Unigram, BPE/],
    [{ clean: 'upper' }, /^text\.tokenizer\.clean must be one of none, whitespace/],
    [{ charsmap: 'shortest' }, /^text\.tokenizer\.charsmap must be one of longest, graphemes/],
    [{ charsmap: null }, /^text\.tokenizer\.files must be 1 files for this tokenizer, found 2/],
    [{ clean: 'canonicalize' }, /^text\.tokenizer\.files must be 3 files for this tokenizer, found 2/],
    [{ suffix: [500] }, /^text\.tokenizer\.suffix\[0\] must be a number in its range, found 500/],
    [{ prefix: [-1] }, /^text\.tokenizer\.prefix\[0\] must be a number in its range, found -1/],
    [{ prefix: undefined }, /^text\.tokenizer\.prefix must be an array/],
    [{ endOfText: 2 }, /^text\.tokenizer\.endOfText must be one of the suffix 1, found 2/],
    [{ prefix: Array(23).fill(0) }, /^text\.tokenizer\.prefix and suffix must leave room for a text in 24 tokens/],
  ])('names what of it is wrong: %j', (tokens, message) => {
    expect(text({}, tokens)).toThrow(message);
  });

  it('needs an end of text where one is pooled', () => {
    const architecture = { ...(readJson<{ text: Json }>(SIGLIP).text.architecture as Json), pooling: 'first-eot' };
    const changes = { architecture, pooling: 'first-eot' };
    expect(text(changes, { endOfText: null })).toThrow(
      /^text\.pooling must be last where the tokenizer has no endOfText/,
    );
    expect(text(changes)()).toMatchObject({ pooling: 'first-eot' });
  });

  it('of CLIP, which cannot be without its own cleaning', () => {
    expect(() => parseModelManifest(changed('text.tokenizer.clean', 'whitespace'))).toThrow(
      /^text\.tokenizer\.clean must be one of lower, canonicalize/,
    );
  });
});

describe('names the field that is wrong', () => {
  it.each<[string, unknown, RegExp]>([
    ['format', 'edgeclip-model/2', /^format must be one of edgeclip-model\/1/],
    ['id', '../secrets', /^id must be/],
    ['revision', 'abc', /^revision must be/],
    ['embeddingDim', 0, /^embeddingDim must be/],
    ['embeddingDim', '256', /^embeddingDim must be/],
    ['similarity', { kind: 'sigmoid', logitScale: 10 }, /^similarity\.logitBias must be/],
    ['similarity.logitScale', -1, /^similarity\.logitScale must be/],
    ['image', undefined, /^image must be an object, found nothing/],
    ['image.size', 64.5, /^image\.size must be/],
    ['image.resize', 'stretch', /^image\.resize must be one of shortest, squash/],
    ['image.mean', [0, 0], /^image\.mean must be an array of 3 items/],
    ['image.std', [1, 0, 1], /^image\.std\[1\] must be/],
    ['image.files', [], /^image\.files must be an array of 1 or more/],
    [
      'image.files',
      [{ path: '../../wrangler.toml', bytes: 1, sha256: '0'.repeat(64) }],
      /^image\.files\[0\]\.path must be/,
    ],
    ['image.files', [{ path: '/etc/passwd', bytes: 1, sha256: '0'.repeat(64) }], /^image\.files\[0\]\.path must be/],
    ['image.runtime', 'tflite', /^image\.runtime must be one of/],
    ['text.tokenizer.endOfText', 49408, /^text\.tokenizer\.endOfText must be/],
    ['text.pooling', 'mean', /^text\.pooling must be one of/],
    ['labelSets', [{ name: 'x' }], /^labelSets\[0\]\.file must be/],
  ])('%s = %j', (path, value, message) => {
    expect(() => parseModelManifest(changed(path, value))).toThrow(message);
  });

  it.each<[string, unknown, RegExp]>([
    ['pooling', 'last', /^text\.pooling must be one of first-eot, found "last"/],
    ['padTo', 77, /^text\.padTo must be null: with runtime onnx/],
  ])('of texts on onnxruntime-web: %s = %j', (name, value, message) => {
    const manifest = changed('text.runtime', 'onnx');
    (manifest.text as Json)[name] = value;
    expect(() => parseModelManifest(manifest)).toThrow(message);
  });

  it('a file that is no object', () => {
    expect(() => parseModelManifest([])).toThrow(/^the file must be an object/);
  });
});
