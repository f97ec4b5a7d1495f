"""What nibabel reads in the volumes that a box makes of series, beside what pydicom reads in their
files, as one JSON object: an entry for each volume.

    read_volume.py URL TOKEN DATABASE FOLDER...

The folders hold the files that the box was given.
"""

import gzip
import itertools
import json
import sqlite3
import sys
from pathlib import Path

import nibabel
import numpy
import pydicom
import requests

# Patient coordinates of DICOM grow to the left and to the back, those of NIfTI to the right and to
# the front.
TO_RAS = numpy.array([-1.0, -1.0, 1.0])


def files_of(folders):
    """By Series Instance UID and size."""
    files = {}
    for path in itertools.chain(*(Path(folder).glob("*.dcm") for folder in folders)):
        file = pydicom.dcmread(path)
        size = (file.Columns, file.Rows)
        files.setdefault((file.SeriesInstanceUID, size), []).append(file)
    return files


def compare(image, files):
    """How far voxels lie from where their files say, and whether they have their values."""
    voxels, far_mm, same = image.get_fdata(), [], []
    for file in files:
        across, down = numpy.reshape(numpy.array(file.ImageOrientationPatient, float), (2, 3))
        row_mm, column_mm = (float(mm) for mm in file.PixelSpacing)
        first = numpy.array(file.ImagePositionPatient, float)
        place = numpy.linalg.inv(image.affine) @ [*(TO_RAS * first), 1]
        slice_ = round(place[2])
        for column, row in itertools.product((0, file.Columns - 1), (0, file.Rows - 1)):
            lies = first + across * column_mm * column + down * row_mm * row
            found = image.affine @ [column, row, slice_, 1]
            far_mm.append(numpy.linalg.norm(found[:3] - TO_RAS * lies))
        values = file.pixel_array * float(file.get("RescaleSlope", 1))
        values = values + float(file.get("RescaleIntercept", 0))
        same.append(numpy.allclose(voxels[:, :, slice_], values.T, rtol=1e-6))
    header = image.header
    turned = numpy.abs(header.get_qform() - header.get_sform()).max()
    return {
        "description": files[0].get("SeriesDescription", ""),
        "slices": [len(files), image.shape[2]],
        "axes": "".join(nibabel.aff2axcodes(image.affine)),
        "codes": [int(header["qform_code"]), int(header["sform_code"])],
        "units": header.get_xyzt_units()[0],
        "type": str(header.get_data_dtype()),
        "far_mm": round(float(max(far_mm)), 3),
        "turned": round(float(turned), 3),
        "same": all(same),
    }


def main(url, token, database, *folders):
    box = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    rows = box.execute("SELECT study_id, id, uid FROM series ORDER BY uid").fetchall()
    files, report = files_of(folders), []
    for study, series, uid in rows:
        for number in itertools.count(1):
            answer = requests.get(
                f"{url}/study/{study}/series/{series}/volume.nii.gz",
                params={"volume": number},
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
            if answer.status_code == 404:
                break
            # One slice is no volume.
            if answer.status_code == 422:
                continue
            answer.raise_for_status()
            image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
            report.append(compare(image, files[uid, image.shape[:2]]))
    return sorted(report, key=lambda one: (one["axes"], one["description"]))


print(json.dumps(main(*sys.argv[1:])))
