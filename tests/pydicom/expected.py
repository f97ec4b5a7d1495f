"""Write what pydicom makes of its own test files, for tests/pydicom.rs to compare with.

Usage: expected.py OUT_DIR

OUT_DIR gets `index.json`, a list with one entry for each .dcm file of pydicom's test data:
    file        name of the file
    path        where it is
    decodable   whether pydicom turns it into an array
    shape       of the array, frames first when there are several
    dtype       of the array, little endian
    sha256      of the array's bytes in C order
    lossy       whether a DCT decided the values, which decoders round differently
    reason      why pydicom has no array, else null
and for each lossy file its values in `<file>.raw`.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import pixel_array

JPEG_DCT = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}


def entry(path: Path, out: Path) -> dict:
    """Describe one file; never fails, because that is pydicom's answer too."""
    row = {"file": path.name, "path": str(path), "decodable": False, "shape": None,
           "dtype": None, "sha256": None, "lossy": False, "reason": None}
    try:
        dataset = pydicom.dcmread(path, force=True)
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
        row["lossy"] = syntax in JPEG_DCT
        # The Rust reader leaves colours as stored, except that its JPEG decoder delivers RGB.
        try:
            array = pixel_array(dataset, raw=not row["lossy"])
        except Exception:
            array = dataset.pixel_array
        array = np.ascontiguousarray(array)
        array = array.astype(array.dtype.newbyteorder("<"))
    except Exception as error:
        first_line = str(error).splitlines()[:1]
        row["reason"] = f"{type(error).__name__}: {''.join(first_line)}"
        return row
    values = array.tobytes()
    row.update(decodable=True, shape=list(array.shape), dtype=array.dtype.str,
               sha256=hashlib.sha256(values).hexdigest())
    if row["lossy"]:
        (out / f"{path.name}.raw").write_bytes(values)
    return row


def main() -> None:
    """Write the index and print how much of it pydicom decodes."""
    warnings.filterwarnings("ignore")
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    files = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
    index = [entry(path, out) for path in files]
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    print(f"{len(index)} files, {sum(row['decodable'] for row in index)} decoded by pydicom")


if __name__ == "__main__":
    main()
