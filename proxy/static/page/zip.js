// Files → a zip archive that stores them as they are: PNGs do not get smaller.
// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.

const UTF8 = 1 << 11; // the names' encoding
const MOST_FILES = 65535; // without zip64
const MOST_BYTES = 2 ** 32 - 1; // without zip64; a larger offset would be written without its upper bits
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

// files: [{ name, blob }]; a name that comes again gets a number.
export async function zipOf(files) {
  if (files.length > MOST_FILES) throw new RangeError(`a zip holds at most ${MOST_FILES} files, not ${files.length}`);
  const [bodies, directory] = [[], []];
  let offset = 0;
  for (const { name, blob } of unique(files)) {
    const entry = await entryOf(name, blob);
    bodies.push(header(0x04034b50, [], entry, []), entry.name, blob);
    directory.push(header(0x02014b50, [20], entry, [0, 0, 0, 0, 0, [offset]]), entry.name);
    offset += 30 + entry.name.length + blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  if (offset + size > MOST_BYTES) throw new RangeError("a zip holds at most 4 GiB: show fewer images");
  const end = bytes([[0x06054b50], 0, 0, files.length, files.length, [size], [offset], 0]);
  return new Blob([...bodies, ...directory, end], { type: "application/zip" });
}

async function entryOf(name, blob) {
  const data = new Uint8Array(await blob.arrayBuffer());
  let crc = -1;
  for (const byte of data) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return { name: new TextEncoder().encode(name), crc: ~crc >>> 0, size: data.length };
}

function header(signature, before, { name, crc, size }, after) {
  return bytes([[signature], ...before, 20, UTF8, 0, ...now(), [crc], [size], [size], name.length, 0, ...after]);
}

function now() {
  const at = new Date();
  const time = (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1);
  return [time, ((at.getFullYear() - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate()];
}

// Numbers of two bytes each, those in brackets of four; the lowest byte first.
function bytes(numbers) {
  const view = new DataView(new ArrayBuffer(2 * numbers.flat().length + 2 * numbers.filter(Array.isArray).length));
  let at = 0;
  for (const number of numbers) {
    if (Array.isArray(number)) view.setUint32(at, number[0], true);
    else view.setUint16(at, number, true);
    at += Array.isArray(number) ? 4 : 2;
  }
  return new Uint8Array(view.buffer);
}

function unique(files) {
  const taken = new Set();
  return files.map(({ name, blob }) => {
    let free = name;
    for (let number = 2; taken.has(free); number++) free = name.replace(/(\.[^.]*)?$/, ` (${number})$1`);
    taken.add(free);
    return { name: free, blob };
  });
}
