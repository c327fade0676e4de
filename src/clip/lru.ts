/** A bounded memory of values that can be had again: the ones unused for longest go first. */
export interface Lru<V> {
  get(key: string): V | undefined;
  /** @returns the value */
  set(key: string, value: V): V;
}

/**
 * @param capacity in the unit of `sizeOf`
 * @param sizeOf what a value counts; the same each time it is asked
 */
export function createLru<V>(capacity: number, sizeOf: (value: V) => number): Lru<V> {
  const entries = new Map<string, V>(); // keeps its keys in the order in which they were set
  let size = 0;
  const remove = (key: string) => {
    const value = entries.get(key);
    if (value === undefined) return;
    entries.delete(key);
    size -= sizeOf(value);
  };
  return {
    get(key) {
      const value = entries.get(key);
      if (value === undefined) return undefined;
      entries.delete(key);
      entries.set(key, value);
      return value;
    },
    set(key, value) {
      remove(key);
      entries.set(key, value);
      size += sizeOf(value);
      for (const oldest of entries.keys()) {
        if (size <= capacity) break;
        remove(oldest);
      }
      return value;
    },
  };
}
