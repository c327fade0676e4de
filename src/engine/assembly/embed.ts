/** What enters the Transformer: patches of an image, tokens of a text. */

/**
 * The patches of an image as rows, each in the order channel, y, x, as a convolution's weights have it.
 * @param pixels [3, size, size] float32
 * @param y [(size / patch)², stride / 4] float32; what is past 3 · patch² in a row becomes 0
 */
export function gatherPatches(pixels: usize, size: i32, patch: i32, y: usize, stride: usize): void {
  const line = <usize>patch << 2;
  const row = <usize>size << 2;
  const bytes = line * <usize>patch * 3;
  const side = size / patch;
  for (let i = 0; i < side * side; i++) {
    let to = y;
    for (let channel = 0; channel < 3; channel++) {
      let from = pixels + row * <usize>(channel * size + (i / side) * patch) + line * <usize>(i % side);
      for (let n = 0; n < patch; n++) {
        memory.copy(to, from, line);
        from += row;
        to += line;
      }
    }
    memory.fill(to, 0, stride - bytes);
    y += stride;
  }
}

/**
 * y[i] = table[ids[i]] · scales[ids[i]] + positions[i].
 * @param ids [count] int32, each a row of the table: the caller checks
 * @param table [vocabulary, width] int8
 * @param scales [vocabulary] float32
 * @param positions, y [count, width] float32; width a multiple of 8
 */
export function embedTokens(
  ids: usize, count: i32, table: usize, scales: usize, positions: usize, width: i32, y: usize,
): void {
  for (let i = 0; i < count; i++) {
    const id = <usize>load<i32>(ids + (<usize>i << 2));
    const scale = v128.load32_splat(scales + (id << 2));
    let from = table + id * <usize>width;
    for (let k = 0; k < width; k += 8) {
      const eight = v128.load8x8_s(from);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(eight));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(eight));
      v128.store(y, f32x4.add(f32x4.mul(low, scale), v128.load(positions)));
      v128.store(y, f32x4.add(f32x4.mul(high, scale), v128.load(positions, 16)), 16);
      from += 8;
      positions += 32;
      y += 32;
    }
  }
}
