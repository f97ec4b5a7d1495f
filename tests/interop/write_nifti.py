"""Images as nibabel writes them, beside what nibabel reads in them, as a JSON list: file, affine,
shape, and values with the first axis fastest. One more is a real brain, of the images that nibabel
is tested with; others of these, which are no volume with a place, are left in the folder.

    write_nifti.py FOLDER
"""

import itertools
import json
import shutil
import sys
from pathlib import Path

import nibabel
import numpy
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

REAL = Path(nibabel.__file__).parent / "tests/data"
REFUSED = [
    "example4d.nii.gz",
    "example_nifti2.nii.gz",
    "resampled_anat_moved.nii",
    "analyze.hdr",
    "nifti1.hdr",
]
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
SHAPE = (5, 4, 3)


def rotation(generator, degrees):
    """About a random axis (Rodrigues)."""
    axis = generator.normal(size=3)
    x, y, z = axis / numpy.linalg.norm(axis)
    cross = numpy.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = numpy.radians(degrees)
    return numpy.eye(3) + numpy.sin(angle) * cross + (1 - numpy.cos(angle)) * cross @ cross


def affine(generator, axes, degrees):
    """Axes run as a code says, turned away from it by an angle."""
    flip = inv_ornt_aff(axcodes2ornt(axes), SHAPE)[:3, :3]
    whole = numpy.eye(4)
    whole[:3, :3] = rotation(generator, degrees) @ flip @ numpy.diag(generator.uniform(0.4, 6, 3))
    whole[:3, 3] = generator.uniform(-120, 120, 3)
    return whole


def codes():
    """All 48 ways in which axes can run."""
    for order in itertools.permutations(("RL", "AP", "SI")):
        yield from itertools.product(*order)


def values(generator, kind):
    if numpy.dtype(kind).kind == "f":
        return generator.normal(size=SHAPE).astype(kind)
    info = numpy.iinfo(kind)
    low, high = max(info.min, -(2**52)), min(info.max, 2**52)
    return generator.integers(low, high, SHAPE, dtype=kind, endpoint=True)


def images():
    generator = numpy.random.default_rng(8)
    for kind, order in itertools.product(TYPES, "<>"):
        place = affine(generator, "LAS", 15)
        header = nibabel.Nifti1Header(endianness=order)
        yield nibabel.Nifti1Image(values(generator, kind), place, header, dtype=numpy.dtype(kind))
    for axes in codes():
        image = nibabel.Nifti1Image(values(generator, "i2"), affine(generator, axes, 30))
        image.header.set_slope_inter(0.37, -12.5)
        yield image
    for degrees in (0, 20, 90, 180):
        # By quaternion alone, and one axis turned over.
        for axes in ("RAS", "LAS"):
            place = affine(generator, axes, degrees)
            image = nibabel.Nifti1Image(values(generator, "f4"), place)
            image.set_qform(place, 1)
            image.set_sform(None, 0)
            yield image
    # A sheared affine, a fourth axis of one volume, an extension before the voxels.
    sheared = affine(generator, "RAS", 10)
    sheared[0, 2] += 0.8
    yield nibabel.Nifti1Image(values(generator, "i2"), sheared)
    yield nibabel.Nifti1Image(values(generator, "i2")[..., None], affine(generator, "RAS", 5))
    extended = nibabel.Nifti1Image(values(generator, "i2"), affine(generator, "RAS", 5))
    extended.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 999))
    yield extended


def entry(path):
    image = nibabel.load(path)
    found = numpy.atleast_3d(numpy.squeeze(image.get_fdata(dtype=numpy.float64)))
    return {
        "file": path.name,
        "affine": image.affine.tolist(),
        "shape": list(found.shape),
        "values": found.ravel(order="F").tolist(),
    }


def main(folder):
    paths = []
    for number, image in enumerate(images()):
        paths.append(Path(folder) / f"{number:03}.nii{'.gz' if number % 2 else ''}")
        nibabel.save(image, paths[-1])
    paths.append(Path(folder) / "anatomical.nii")
    for name in ["anatomical.nii", *REFUSED]:
        shutil.copyfile(REAL / name, Path(folder) / name)
    return [entry(path) for path in paths]


print(json.dumps(main(*sys.argv[1:])))
