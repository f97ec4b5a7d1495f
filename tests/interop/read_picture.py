"""What pydicom reads in a picture of ours, as one JSON object.

    read_picture.py FILE
"""

import json
import sys

import pydicom
from pydicom.pixels import pixel_array

data = pydicom.dcmread(sys.argv[1])
# As red, green and blue.
pixels = pixel_array(data).astype(int)
spread = pixels.max(axis=2) - pixels.min(axis=2)
print(json.dumps({
    "class": data.SOPClassUID,
    "image_type": list(data.ImageType),
    "shape": pixels.shape,
    "mean": float(pixels.mean()),
    "tinted": float((spread > 40).mean()),
    "description": data.SeriesDescription,
}))  # fmt: skip
