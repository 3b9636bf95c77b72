import { Presets, SingleBar } from 'cli-progress';
import type { Output } from './output.ts';

/** A bar on a terminal, nothing elsewhere. Without a total it only counts. */
export interface Progress {
  advance(by: number): void;
  /** A line of output that does not get mixed up with the bar. */
  line(text: string): void;
  stop(): void;
}

export function progressOf(out: Output, total: number | undefined, unit: string): Progress {
  // One or two items are done before a bar could be seen.
  if (!out.interactive || (total !== undefined && total < 3)) {
    return { advance() {}, line: (text) => !out.json && out.line(text), stop() {} };
  }
  const format = total === undefined ? `{value} ${unit}` : `{bar} {percentage}%  {value}/{total} ${unit}`;
  const bar = new SingleBar({ format, clearOnComplete: true, hideCursor: true, stream: process.stderr }, Presets.rect);
  bar.start(total ?? 0, 0);
  return {
    advance: (by) => bar.increment(by),
    line(text) {
      process.stderr.write('\r\u001b[K');
      out.line(text);
    },
    stop: () => bar.stop(),
  };
}

export interface BytesProgress {
  /** So many bytes in all are done. */
  reach(bytes: number): void;
  line(text: string): void;
  stop(): void;
}

/** A bar of bytes; see `progressOf`. */
export function bytesProgressOf(out: Output, totalBytes: number | undefined): BytesProgress {
  const progress = progressOf(out, totalBytes, 'bytes');
  let reached = 0;
  return {
    reach(bytes) {
      progress.advance(bytes - reached);
      reached = bytes;
    },
    line: progress.line,
    stop: progress.stop,
  };
}
