/** The source cannot be used now: ask another, or again. */
export class Unusable extends Error {
  override readonly name = 'Unusable';
}

/** B6: this shadow will never be swapped in. */
export class Lost extends Error {
  override readonly name = 'Lost';
}

/** The source goes on from another history of an author than the shadow has (N4). */
export class Forked extends Unusable {}

/** The source has nothing that this peer lacks: a swap must move the clock (fault useless-source). */
export class Useless extends Unusable {}

/** The rows of a bucket, as the source sent them, are not what its digest says. */
export class TheirDamage extends Error {
  override readonly name = 'TheirDamage';
  readonly bucket: number;

  constructor(bucket: number) {
    super(`the rows of bucket ${bucket} at the source do not add up to its digest; run "pinfold store repair" there`);
    this.bucket = bucket;
  }
}

/** The rows of a bucket of this store are not what its digest says. */
export class OwnDamage extends Error {
  override readonly name = 'OwnDamage';
  readonly bucket: number;

  constructor(bucket: number) {
    super(`the disk has changed or lost rows of bucket ${bucket}`);
    this.bucket = bucket;
  }
}
