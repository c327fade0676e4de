import { expect, it } from 'vitest';
import { createLru } from '../../src/clip/lru.ts';

const text = () => createLru<string>(10, (value) => value.length);

it('forgets what was unused for longest, until the rest fits', () => {
  const lru = text();
  lru.set('a', '12345');
  lru.set('b', '123');
  expect(lru.get('a')).toBe('12345');
  lru.set('c', '1234'); // 12 in all: b goes, which was used before a
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual(['12345', undefined, '1234']);
});

it('does not keep what is larger than all of it', () => {
  const lru = text();
  expect(lru.set('a', '12345678901')).toBe('12345678901');
  expect(lru.get('a')).toBeUndefined();
  lru.set('b', '1234567890');
  expect(lru.get('b')).toBe('1234567890');
});

it('counts a replaced value once', () => {
  const lru = text();
  for (let i = 0; i < 100; i++) lru.set('a', '12345');
  lru.set('b', '12345');
  expect(lru.get('a')).toBe('12345');
});
