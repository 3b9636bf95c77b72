import { invalidField, type PinfoldError } from '../../model/errors.ts';

/** What is wrong with a CAR, and where. */
export function badCar(offset: number, problem: string): PinfoldError {
  return invalidField('data', `not a CAR that can be taken, at byte ${offset}: ${problem}`);
}
