/** The image encoder of a bundle, whichever architecture it has. */
import type { ImageArchitecture } from '../clip/architecture.ts';
import type { ClipImageEncoder, Embedding, PixelValues } from '../clip/encoders.ts';
import { EngineError } from './engine-error.ts';
import type { ClaimMemory, KernelBuild } from './kernels.ts';
import type { ModelFile } from './model-file.ts';
import { loadResNet } from './resnet.ts';
import { loadVisionTransformer } from './vision-transformer.ts';

export interface ImageEncoderSpec<Architecture = ImageArchitecture> {
  architecture: Architecture;
  /** pixels a side */
  size: number;
  embeddingDim: number;
  /**
   * Images in one product of a Vision Transformer, 1 if it is not said; a ResNet takes one after the other. Each more takes
   * 32 · width bytes a token: 0.5 MiB with tiny-64, 1.2 MiB with a ViT-B/32, 4.6 MiB with a ViT-B/16. Measured in workerd, an
   * image takes 4 % less of 4 at once with tiny-64 (65 tokens) and 4 to 7 % less with a ViT-B/32 (50 tokens, which alone fill
   * 52 rows). Less than it is worth to hold the pixels of several (0.6 MB each of 224 × 224): the API encodes one at a time.
   */
  imagesAtOnce?: number;
  /** of the kernels; by default the faster one that runs here */
  build?: KernelBuild;
  /** told how many bytes the encoder takes, before it does; throws if they are too many */
  claimMemory?: ClaimMemory;
}

export interface ImageEncoder extends ClipImageEncoder {
  /** In order; each to the last bit as if it were alone. One that is refused refuses all. */
  encodeImages(images: readonly PixelValues[]): Promise<Embedding[]>;
}

/** The embeddings of up to `imagesAtOnce` images, in order. */
export type EncodeGroup = (images: readonly PixelValues[]) => Embedding[];

function load({ architecture, ...rest }: ImageEncoderSpec, file: ModelFile): Promise<EncodeGroup> {
  return architecture.kind === 'resnet'
    ? loadResNet({ architecture, ...rest }, file)
    : loadVisionTransformer({ architecture, ...rest }, file);
}

/** @throws EngineError, and what `file.readInto` throws */
export async function loadImageEncoder(spec: ImageEncoderSpec, file: ModelFile): Promise<ImageEncoder> {
  const encodeGroup = await load(spec, file);
  const { size, imagesAtOnce = 1 } = spec;
  const values = 3 * size ** 2;

  function check({ length }: PixelValues): void {
    if (length !== values) throw new EngineError(`an image has ${length} values, this encoder takes ${values}`);
  }

  return {
    async encodeImage(pixelValues) {
      check(pixelValues);
      return encodeGroup([pixelValues])[0];
    },
    async encodeImages(images) {
      images.forEach(check);
      const embeddings: Embedding[] = [];
      for (let first = 0; first < images.length; first += imagesAtOnce) {
        embeddings.push(...encodeGroup(images.slice(first, first + imagesAtOnce)));
      }
      return embeddings;
    },
  };
}
