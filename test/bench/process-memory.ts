/** The peak of another process's memory during some work. Linux only: elsewhere there is none. */
import { readFileSync, writeFileSync } from 'node:fs';

const KIBI = 1024;
const RESET_PEAK = '5'; // proc(5), /proc/pid/clear_refs

/** @returns what VmHWM rose above VmRSS, in bytes, or undefined where /proc cannot tell */
export async function peakDuring(pid: number | undefined, work: () => Promise<unknown>): Promise<number | undefined> {
  const before = pid === undefined ? undefined : resetPeak(pid);
  await work();
  return before === undefined ? undefined : statusBytes(pid!, 'VmHWM') - before;
}

/** @returns the memory now, in bytes */
function resetPeak(pid: number): number | undefined {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
    return residentBytes(pid);
  } catch {
    return undefined;
  }
}

export const residentBytes = (pid: number): number => statusBytes(pid, 'VmRSS');

function statusBytes(pid: number, name: 'VmHWM' | 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * KIBI;
}
