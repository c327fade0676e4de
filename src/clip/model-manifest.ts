/**
 * `model.json`, what a model bundle says of itself: the only source of sizes, means, context lengths and scales.
 * It is parsed and checked once, when the model is first asked for; an error names the field.
 */
import {
  type ImageArchitecture,
  parseImageArchitecture,
  parseTextArchitecture,
  TEXT_POOLINGS,
  type TextArchitecture,
  type TextPooling,
} from './architecture.ts';
import { type BundleFile, parseFile, parseFiles, SHA256 } from './bundle-file.ts';
import { type Field, FieldError, field } from './checked-json.ts';
import { NAME_PATTERN } from './label-set.ts';
import type { PreprocessSpec } from './preprocess.ts';
import { parseTokenizer, type TokenizerManifest, tokenOf } from './tokenizer-manifest.ts';
import type { Similarity } from './zero-shot.ts';

/** What runs an encoder: onnxruntime-web any graph, our engine the architectures of the CLIP family. */
export type RuntimeManifest<Architecture> = { files: readonly BundleFile[] } & (
  | { runtime: 'onnx' }
  | { runtime: 'engine'; architecture: Architecture }
);

export type ImageEncoderManifest = PreprocessSpec & RuntimeManifest<ImageArchitecture>;

export type TextEncoderManifest = RuntimeManifest<TextArchitecture> & {
  contextLength: number;
  pooling: TextPooling;
  /** texts are filled up to `contextLength` with it; null: the encoder takes them at their own length */
  padId: number | null;
  tokenizer: TokenizerManifest;
};

export interface ModelManifest {
  id: string;
  /** sha256 over all that changes an embedding: label sets are bound to it */
  revision: string;
  title: string;
  license: string;
  source: Readonly<Record<string, unknown>>;
  embeddingDim: number;
  similarity: Similarity;
  image: ImageEncoderManifest;
  /** null: an image-only deployment, label sets come precomputed */
  text: TextEncoderManifest | null;
  /** built-in sets; the first is what `classify` uses when a request names none */
  labelSets: readonly { name: string; file: BundleFile }[];
  /** what `clip-export verify` measured; passed on as it is */
  quality: Readonly<Record<string, unknown>>;
  /** where clip-export made its files for: assets, in parts, or R2, whole */
  storage: 'assets' | 'r2';
}

/** @throws FieldError naming the field */
export function parseModelManifest(json: unknown): ModelManifest {
  const root = field(json);
  root.get('format').oneOf(['edgeclip-model/1']);
  const text = root.optional('text');
  return {
    id: root.get('id').string(NAME_PATTERN),
    revision: root.get('revision').string(SHA256),
    title: root.get('title').string(),
    license: root.get('license').string(),
    source: root.get('source').record(),
    embeddingDim: root.get('embeddingDim').whole(),
    similarity: parseSimilarity(root.get('similarity')),
    image: parseImage(root.get('image')),
    text: text ? parseText(text) : null,
    labelSets: (root.optional('labelSets')?.items(0) ?? []).map((set) => ({
      name: set.get('name').string(NAME_PATTERN),
      file: parseFile(set.get('file')),
    })),
    quality: root.optional('quality')?.record() ?? {},
    storage: root.optional('storage')?.oneOf(['assets', 'r2']) ?? 'assets',
  };
}

function parseSimilarity(of: Field): Similarity {
  const kind = of.get('kind').oneOf(['softmax', 'sigmoid']);
  const logitScale = of.get('logitScale').number((x) => x > 0);
  return kind === 'softmax' ? { kind, logitScale } : { kind, logitScale, logitBias: of.get('logitBias').number() };
}

function parseImage(of: Field): ImageEncoderManifest {
  const perChannel = (f: Field, check?: (x: number) => boolean) => f.items(3, 3).map((item) => item.number(check));
  const size = of.get('size').whole();
  return {
    size,
    resize: of.get('resize').oneOf(['shortest', 'squash']),
    interpolation: of.get('interpolation').oneOf(['bicubic', 'bilinear']),
    mean: perChannel(of.get('mean')),
    std: perChannel(of.get('std'), (x) => x > 0),
    ...parseRuntime(of, (architecture) => parseImageArchitecture(architecture, size)),
  };
}

function parseText(of: Field): TextEncoderManifest {
  const contextLength = of.get('contextLength').whole();
  const tokenizer = parseTokenizer(of.get('tokenizer'), contextLength);
  const runtime = parseRuntime(of, parseTextArchitecture);
  const padTo = of.optional('padTo');
  if (padTo) checkPadding(padTo, runtime, contextLength);
  const pooling = parsePooling(of.get('pooling'), runtime);
  if (pooling === 'first-eot' && tokenizer.endOfText === null) {
    throw new FieldError(
      `${of.get('pooling').path} must be last where the tokenizer has no endOfText, found ${pooling}`,
    );
  }
  const padId = padTo ? tokenOf(of.get('padId'), tokenizer.vocabularySize) : null;
  return { ...runtime, contextLength, pooling, padId, tokenizer };
}

function checkPadding(padTo: Field, { runtime }: RuntimeManifest<unknown>, contextLength: number): void {
  if (runtime === 'onnx') {
    throw new FieldError(`${padTo.path} must be null: with runtime onnx, texts are taken at their own length`);
  }
  const length = padTo.whole();
  if (length !== contextLength) {
    throw new FieldError(`${padTo.path} must be the contextLength ${contextLength}, found ${length}`);
  }
}

/** An ONNX graph pools by itself, and only the end of text is where it looks for it. */
function parsePooling(of: Field, text: RuntimeManifest<TextArchitecture>): TextPooling {
  const pooling = of.oneOf(text.runtime === 'engine' ? TEXT_POOLINGS : ['first-eot']);
  if (text.runtime === 'engine' && pooling !== text.architecture.pooling) {
    throw new FieldError(`${of.path} must be the architecture's ${text.architecture.pooling}, found ${pooling}`);
  }
  return pooling;
}

function parseRuntime<Architecture>(of: Field, parse: (of: Field) => Architecture): RuntimeManifest<Architecture> {
  const runtime = of.get('runtime').oneOf(['onnx', 'engine']);
  const files = parseFiles(of.get('files'));
  return runtime === 'onnx' ? { runtime, files } : { runtime, files, architecture: parse(of.get('architecture')) };
}
