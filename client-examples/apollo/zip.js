// Just enough of the zip format to read a one-file archive without another package.
import { inflateRawSync } from 'node:zlib';

const CENTRAL_ENTRY = 0x02014b50;
const END = 0x06054b50;

/** The content of the first file in `zip`, stored or deflated; throws where that is not what it is. */
export function firstEntry(zip) {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0 || zip.readUInt32LE(end) !== END) throw new Error('not a zip file');
  const entry = zip.readUInt32LE(end + 16);
  if (zip.readUInt32LE(entry) !== CENTRAL_ENTRY) throw new Error('a zip file without a directory');
  const [method, size, local] = [zip.readUInt16LE(entry + 10), zip.readUInt32LE(entry + 20), zip.readUInt32LE(entry + 42)];
  const begin = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(begin, begin + size);
  if (method === 0) return packed;
  if (method === 8) return inflateRawSync(packed);
  throw new Error(`a zip file with method ${method}, neither stored nor deflated`);
}
