// Browsers turn a picture as its EXIF orientation says, and have no way to leave it. The service does not turn it.
// Source: CIPA DC-008 (Exif 2.32), 4.6.2 and the tag Orientation in 4.6.4.

const EXIF = /(?:^|Exif\0\0|eXIf|EXIF.{4})(?=II\*\0|MM\0\*)/s; // before the TIFF header: in TIFF, JPEG, PNG and WebP
const ORIENTATION = 0x0112;
const ENTRY_BYTES = 12;

// Return the same file with the orientation that means "as stored".
export async function unturned(file) {
  const buffer = await file.arrayBuffer();
  const found = EXIF.exec(new TextDecoder("latin1").decode(buffer)); // one character for each byte
  if (!found) return file;
  setOrientation(new DataView(buffer, found.index + found[0].length));
  return new Blob([buffer], { type: file.type });
}

function setOrientation(tiff) {
  const little = tiff.getUint16(0) === 0x4949;
  const directory = tiff.getUint32(4, little);
  for (let left = tiff.getUint16(directory, little), at = directory + 2; left > 0; left--, at += ENTRY_BYTES) {
    if (tiff.getUint16(at, little) === ORIENTATION) tiff.setUint16(at + 8, 1, little);
  }
}
