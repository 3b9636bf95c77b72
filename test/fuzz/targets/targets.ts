import type { Target } from '../target.ts';
import { addTarget } from './add.ts';
import { carTarget } from './car.ts';

export const targets = {
  add: addTarget,
  car: carTarget,
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;
