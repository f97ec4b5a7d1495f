"""What highdicom and pydicom read in a segmentation of ours, as one JSON object, and whether its
mask is what the explanation in the box's database means.

    read_segmentation.py FILE DATABASE PLAIN

Writes it to PLAIN again, not deflated, for programs that cannot inflate.
"""

import json
import sqlite3
import sys

import highdicom
import numpy
import pydicom
from pydicom.uid import ExplicitVRLittleEndian

path, database, plain = sys.argv[1:]
data = pydicom.dcmread(path)
syntax = data.file_meta.TransferSyntaxUID
segmentation = highdicom.seg.segread(path)
segment = segmentation.get_segment_description(1)
sources = [uids[2] for uids in segmentation.get_source_image_uids()]
masks = segmentation.get_pixels_by_source_instance(sources)[..., 0]

box = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
(info,) = box.execute(
    "SELECT info FROM explanation WHERE inference_id = ?", [int(data.InstanceNumber)]
).fetchone()
meant = {}
for slice_ in json.loads(info)["region"]:
    (uid,) = box.execute(
        "SELECT sop_uid FROM instance WHERE path LIKE '%/' || ?", [slice_["file"]]
    ).fetchone()
    mask = numpy.zeros((data.Rows, data.Columns), dtype=masks.dtype)
    for columns, rows in slice_["boxes"]:
        mask[rows["start"] : rows["end"], columns["start"] : columns["end"]] = 1
    meant[uid] = mask

data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
data.save_as(plain, enforce_file_format=True)
print(json.dumps({
    "class": segmentation.SOPClassUID,
    "syntax": syntax,
    "patient": str(data.PatientID),
    "study": data.StudyInstanceUID,
    "label": segment.segment_label,
    "algorithm": segment.algorithm_type.value,
    "frames": int(data.NumberOfFrames),
    "empty": int(sum(not mask.any() for mask in masks)),
    "as_meant": sorted(sources) == sorted(meant)
    and all((mask == meant[uid]).all() for uid, mask in zip(sources, masks)),
}))  # fmt: skip
