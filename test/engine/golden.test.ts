/** Whole forward passes against PyTorch in float32: small random CLIPs of odd sizes, and the default model. */
import { describe, expect, it } from 'vitest';
import type { ImageArchitecture, TextArchitecture } from '../../src/clip/architecture.ts';
import { cosines } from '../../src/clip/embedding.ts';
import { fastLinears, goldenModels } from './golden-models.ts';

/**
 * The weights are int8 exactly; what is left is the rounding of activations to 12 bits and more. Of fast products the
 * golden embeddings have rounded activations too, but a number that lies between two codes may go the other way. (They
 * are 5e-6 to 7e-4 away from embeddings in float.)
 */
const leastCosine = (architecture: ImageArchitecture | TextArchitecture) =>
  fastLinears(architecture).length > 0 ? 0.9999 : 0.999999;

describe.each(goldenModels)('$name: $why', (model) => {
  it('images', async () => {
    const encoder = await model.loadImages();
    const least = leastCosine(model.imageSpec.architecture);
    for (const [i, picture] of model.pictures.entries()) {
      const embedding = await encoder.encodeImage(picture);
      expect(cosines(embedding, model.images)[i], `image ${i}`).toBeGreaterThan(least);
    }
  });

  it('texts', async () => {
    const encoder = await model.loadTexts();
    const least = leastCosine(model.textSpec.architecture);
    for (const [i, embedding] of (await encoder.encodeTexts(model.ids)).entries()) {
      expect(cosines(embedding, model.texts)[i], `text ${i}`).toBeGreaterThan(least);
    }
  });
});
