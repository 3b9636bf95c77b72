/** `3,7,9-12` */
export function formatIds(ids: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < ids.length; i++) {
    const from = ids[i] as number;
    let to = from;
    while (ids[i + 1] === to + 1) to = ids[++i] as number;
    parts.push(from === to ? `${from}` : `${from}-${to}`);
  }
  return parts.join(',');
}

export function parseIds(text: string): number[] {
  if (text === '') return [];
  return text.split(',').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number) as [number, number?];
    if (!Number.isInteger(from) || !Number.isInteger(to)) throw new Error(`not a list of events: ${text}`);
    return Array.from({ length: (to as number) - from + 1 }, (_, i) => from + i);
  });
}
