export async function runPlanted(_: { only: string | undefined; workers?: number }): Promise<boolean> {
  throw new Error('no faults are planted yet');
}
