import { bytes, defineOptions, type OptionsOf } from '../config/option.ts';
import { MAP_BYTES_DEFAULT } from './lmdb/constants.ts';

export const storageOptions = defineOptions('storage', 'The store of this peer.', {
  mapBytes: bytes({
    default: MAP_BYTES_DEFAULT,
    min: 1024 ** 3,
    max: 64 * 1024 ** 4,
    says: 'the largest size that the store can reach; address space only, neither disk nor memory',
  }),
});

export type StorageOptions = OptionsOf<typeof storageOptions>;
