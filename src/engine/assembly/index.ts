/** The exports of build/engine.wasm; `../kernels.ts` says how TypeScript sees them. All addresses are in bytes. */
export { gelu, geluTanh, quickGelu } from './activation';
export { attend, packKeys, packValues } from './attention';
export { averagePool, gatherNeighbours, meanAndRows, relu } from './convolution';
export { embedTokens, gatherPatches } from './embed';
export { linearFast, quantiseFast } from './fast';
export { checkFast } from './fast-check';
export { linear } from './linear';
export { layerNorm } from './norm';
export { quantise } from './quantise';
export { allWithin } from './range-check';

/** The first byte that the kernels leave alone. */
export const heapBase = __heap_base;
