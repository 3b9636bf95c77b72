import { formatTable } from '../src/cli/output.ts';

/** One measured figure. `limit` is what it is held against, measured in the same run; `ratio` = value / limit. */
export interface Figure {
  name: string;
  figure: string;
  value: number;
  unit: string;
  limit?: number;
  ratio?: number;
  /** What the limit is, and what else stood beside. */
  note: string;
}

export class Figures {
  readonly #all: Figure[] = [];
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  add(figure: Omit<Figure, 'ratio'>): void {
    const ratio = figure.limit === undefined ? {} : { ratio: figure.value / figure.limit };
    this.#all.push({ ...figure, ...ratio });
    if (this.#json) console.log(JSON.stringify({ ...figure, ...ratio }));
  }

  /** For people, on standard error: what is being done. */
  progress(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  print(): void {
    if (this.#json) return;
    const rows = this.#all.map((each) => [
      each.name,
      each.figure,
      shown(each.value),
      each.unit,
      each.limit === undefined ? '' : shown(each.limit),
      each.ratio === undefined ? '' : each.ratio.toFixed(2),
      each.note,
    ]);
    console.log(formatTable(['BENCH', 'FIGURE', 'VALUE', 'UNIT', 'LIMIT', 'RATIO', 'HELD AGAINST'], rows));
  }
}

function shown(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toPrecision(3);
}
