"""Builds trainer/assets/atlas.bin.gz, the head that `trainer simulate` deforms.

Needs (exact versions; other versions were not tried):
    Debian  mricron-data 1.2.20211006+dfsg-4   templates/ch2.nii.gz (Colin27 T1)
    PyPI    samseg 0.4a0, surfa, numpy 1.26.4, scipy 1.11.4, nibabel 5.2.1   (segmentation)
    PyPI    numpy 2.2.6, scipy 1.17.1, nibabel 5.4.2                          (this program)

Two steps, about ten minutes and one minute on two cores:
    run_samseg -i ch2.nii.gz -o seg --threads 2 --save-posteriors
    python make_atlas.py ch2.nii.gz seg trainer/assets/atlas.bin.gz

The intensities of the T1 picture give the partial volumes, so that gyri, folia and vessel-free
cisterns stay as sharp as in the scan; the segmentation only says which two tissues a voxel can
hold. What a T1 picture does not show (arteries, sinuses, dura, nerves, the neck below its last
slice) is drawn from coordinates read off that picture.

File: gzip of
    magic   8 bytes  "HEADATL1"
    size    3 x u16  voxels along x, y, z (little endian)
    origin  3 x i16  centre of the first voxel in mm, LPS, AC as origin; voxels are 1 mm
    pair    u8 per voxel, first tissue * 16 + second tissue
    share   u8 per voxel, share of the second tissue in fifteenths
    region  u8 per voxel
each plane C-ordered [z][y][x], every byte after the first of a row stored as the difference to
its left neighbour (modulo 256).
"""

import glob
import gzip
import os
import struct
import sys

import nibabel as nib
import numpy as np
from scipy import ndimage as nd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

# Orders of simulate::head::Tissue and simulate::anatomy::Region.
(AIR, CSF, GM, WM, DEEP, IRON, BONE, MARROW, FAT, MUSCLE, VITREOUS, ARTERY, VEIN, ENHANCING,
 BRAINSTEM) = range(15)
REGIONS = """None Frontal Parietal Temporal Occipital Insula Cingulate DeepWhite
PeriventricularWhite CorpusCallosum Caudate Putamen Pallidum Thalamus InternalCapsule Hippocampus
Amygdala LateralVentricle ThirdVentricle Aqueduct FourthVentricle ForamenOfMonro ChoroidPlexus
Midbrain Pons Medulla CervicalCord CerebellarHemisphere Vermis Tonsil CerebellopontineAngle
InternalAuditoryCanal Sella Suprasellar Pineal CavernousSinus CircleOfWillis SylvianFissure
BasalCistern PosteriorFossaCsf CisternaMagna ConvexityCsf SpinalCsf Falx Tentorium VenousSinus
Skull Clivus Orbit Eye OpticNerve ParanasalSinus Mastoid Scalp Neck Face""".split()
R = {name: i for i, name in enumerate(REGIONS)}

ORIGIN = np.array([-90, -125, -71])  # of the scan, MNI millimetres
NECK = 42  # slices added below

# Centres of gyri, MNI, |x|: a voxel belongs to the lobe of the nearest one.
GYRI = {
    "Frontal": [(39, -6, 51), (50, 0, 30), (18, 35, 42), (17, 47, -13), (34, 33, 35), (31, 50, -10),
                (48, 13, 19), (46, 30, 14), (36, 31, -12), (48, -5, 14), (5, 5, 61), (8, 15, -14),
                (5, 49, 31), (5, 54, -7), (5, 37, -18), (20, -8, 66), (28, 10, 55), (25, 60, 8),
                (8, -22, 66), (25, 22, -18), (26, 10, 38)],
    "Parietal": [(43, -23, 49), (23, -60, 59), (43, -46, 47), (56, -34, 30), (44, -61, 36),
                 (7, -58, 46), (8, -38, 66), (24, -38, 62), (58, -18, 30), (26, -45, 38),
                 (16, -65, 42)],
    "Temporal": [(21, -14, -26), (31, -36, -21), (42, -19, 7), (54, -21, 4), (40, 15, -24),
                 (56, -34, -4), (36, 12, -36), (50, -28, -23), (54, -48, 4), (48, -58, -4),
                 (56, -8, -14), (30, -4, -34), (54, -38, 14)],
    "Occipital": [(7, -79, 6), (6, -80, 27), (15, -70, -5), (17, -84, 28), (32, -83, 14),
                  (38, -78, -8), (28, -76, -12), (12, -95, 4), (46, -70, 6), (22, -66, 12)],
    "Insula": [(36, 7, 2), (38, -8, 6), (36, 16, -4), (37, -2, -6)],
    "Cingulate": [(5, 35, 14), (6, -15, 40), (5, -43, 25), (6, 20, 30), (5, 36, 2), (7, -30, 40),
                  (6, 3, 38)],
}

# Waypoints in MNI millimetres, radius in mm; `m` also draws the mirror image.
ARTERIES = [
    ("m", 2.3, [(24, -12, -71), (26, -14, -52), (24, -8, -44), (13, -4, -38), (11, 4, -32),
                (11, 9, -28), (11, 6, -24), (12, 7, -20)]),
    ("m", 1.6, [(12, 7, -20), (22, 5, -17), (34, 2, -16), (40, -2, -12)]),
    ("m", 1.1, [(40, -2, -12), (43, -10, -2), (45, -20, 8), (52, -30, 16)]),
    ("m", 1.1, [(40, -2, -12), (43, 8, -4), (44, 14, 6), (50, 8, 16)]),
    ("m", 1.0, [(40, -2, -12), (46, -14, -4), (52, -34, 6), (56, -46, 14)]),
    ("m", 1.2, [(12, 7, -20), (6, 12, -18), (2, 14, -17)]),
    ("m", 1.1, [(2, 14, -17), (2, 28, -10), (2, 41, 4), (2, 36, 22), (2, 14, 34), (3, -14, 40),
                (3, -36, 42)]),
    ("m", 0.9, [(2, 38, -6), (2, 52, 4), (2, 50, 26), (2, 34, 44)]),
    ("", 0.9, [(-2, 14, -17), (2, 14, -17)]),
    ("m", 1.6, [(15, -36, -71), (9, -32, -60), (1, -22, -50)]),
    ("", 1.8, [(1, -22, -50), (0, -9, -36), (0, -8, -24), (0, -8, -20)]),
    ("m", 1.2, [(0, -8, -20), (10, -10, -18), (18, -22, -15), (18, -33, -8), (12, -46, 0),
                (10, -66, 6), (8, -82, 8)]),
    ("m", 0.8, [(9, -10, -19), (11, 6, -22)]),
]
VEINS = [
    ("m", 1.0, [(3, 0, 6), (2, -18, 8), (1, -32, 8), (0, -40, 12)]),
    ("", 1.8, [(0, -40, 12), (0, -44, 21), (0, -52, 17)]),
    ("", 2.4, [(0, -52, 17), (0, -66, 4), (0, -80, -9), (0, -92, -14)]),
    ("m", 2.6, [(52, -52, -26), (50, -44, -34), (44, -42, -46), (36, -40, -56), (30, -33, -64)]),
]


def coordinates(shape, origin):
    return np.meshgrid(*[np.arange(n, dtype=np.float32) + o for n, o in zip(shape, origin)],
                       indexing="ij", sparse=True)


def near(mask, mm):
    return nd.distance_transform_edt(~mask) <= mm


def ramp(v, low, high):
    return np.clip((v - low) / (high - low), 0, 1)


class Pairs:
    """Two tissues a voxel and the share of the second."""

    def __init__(self, shape):
        self.a = np.zeros(shape, np.uint8)
        self.b = np.zeros(shape, np.uint8)
        self.s = np.zeros(shape, np.float32)

    def set(self, mask, a, b=None, share=0.0):
        mask = np.broadcast_to(mask, self.a.shape)
        self.a[mask] = a
        self.b[mask] = a if b is None else b
        self.s[mask] = share if np.isscalar(share) else np.broadcast_to(share, mask.shape)[mask]

    def fraction(self, tissue):
        return (self.a == tissue) * (1 - self.s) + (self.b == tissue) * self.s


def classify(scan, seg, post):
    """Tissue pairs of the scanned part."""
    p = Pairs(scan.shape)
    x, y, z = coordinates(scan.shape, ORIGIN)

    def prob(*names):
        return sum(v for k, v in post.items() if any(n in k for n in names))

    white = prob("Cerebral-White", "Cerebellum-White", "WM-hypo")
    cortex = prob("Cerebral-Cortex", "Cerebellum-Cortex", "Hippocampus", "Amygdala")
    deep = prob("Thalamus", "Caudate", "Putamen", "Accumbens", "VentralDC")
    pallidum = prob("Pallidum")
    stem = prob("Brain-Stem")
    ventricle = prob("Lateral-Vent", "Inf-Lat", "3rd-V", "4th-V", "5th-V", "choroid", "vessel")
    fluid = prob("CSF")
    skull = prob("Skull")
    eye = prob("Fluid_Inside")
    brain = white + cortex + deep + pallidum + stem + ventricle + fluid + prob("Optic")
    inside = brain > 0.5
    labels = [2, 41, 3, 42, 7, 46, 8, 47, 4, 43, 5, 44, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18,
              54, 16, 28, 60]
    solid = nd.binary_opening(np.isin(seg, labels), iterations=1)
    # Falx, great sinuses and fatty marrow inside the CSF label are no cortex.
    inside &= nd.distance_transform_edt(~solid) < 14

    # Head against background.
    head = nd.binary_fill_holes(nd.binary_opening(scan > 14, iterations=2))
    big, _ = nd.label(head)
    head = big == np.argmax(np.bincount(big.ravel())[1:]) + 1
    for k in range(scan.shape[2]):
        head[:, :, k] = nd.binary_fill_holes(head[:, :, k])

    # Soft tissue, fat, bone, air.
    i = scan
    soft = head & ~inside
    p.set(soft & (i < 70), BONE, MUSCLE, ramp(i, 22, 66))
    p.set(soft & (i >= 70), MUSCLE, FAT, ramp(i, 92, 165))
    bony = soft & (skull > 0.5)
    p.set(bony, BONE, MARROW, 0.85 * ramp(i, 20, 105))
    edge = nd.distance_transform_edt(head)
    skin = head & (edge <= 2.2) & ~inside
    p.set(skin, MUSCLE, FAT, 0.25 * ramp(i, 60, 150))
    dark = head & ~inside & (i < 17) & (edge > 3)
    cavity = nd.binary_opening((z < 6) & dark & ((skull < 0.5) | (z < -20)), iterations=1)
    frontal_sinus = dark & (y > 58) & (z < 25) & (abs(x) < 30) & (i < 13)
    p.set(near(cavity, 1.5) & soft & (i < 45) & (z < 8), BONE, MUSCLE, ramp(i, 24, 45))
    p.set(cavity | frontal_sinus, AIR)
    lining = near(cavity, 1.5) & soft & ~cavity & (i >= 40) & (i < 100) & (z < -10) & (y > 0)
    p.set(lining, MUSCLE, ENHANCING, 0.4)
    p.set(eye > 0.5, VITREOUS)
    p.set(~head & (i > 14) & near(head, 1.5), AIR, MUSCLE, ramp(i, 0, 90))

    # Brain.
    t_gm, t_wm = ramp(i, 44, 79), ramp(i, 93, 109)
    cortical = inside & (i < 88)
    p.set(cortical, CSF, GM, t_gm)
    p.set(inside & (i >= 88), GM, WM, t_wm)
    deep_like = inside & (deep > 0.4) & (i >= 72)
    p.set(deep_like, DEEP, WM, 0.75 * ramp(i, 96, 114))
    p.set(inside & (pallidum > 0.5), IRON, WM, 0.25)
    stem_like = inside & (stem > 0.4)
    p.set(stem_like & (i >= 80), GM, BRAINSTEM, 0.35 + 0.65 * ramp(i, 90, 104))
    p.set(stem_like & (i < 88), CSF, BRAINSTEM, ramp(i, 44, 96))
    # A wall between ventricle and white matter is no cortex.
    vent = nd.binary_opening(inside & (ventricle > 0.5), iterations=1)
    cortex_far = nd.gaussian_filter(cortex, 1.2) < 0.2
    wall = inside & near(vent, 2.5) & cortex_far & (deep < 0.3) & (stem < 0.3) & (i < 109)
    p.set(wall, CSF, WM, ramp(i, 44, 106))
    wall = inside & near(vent, 2.5) & (deep >= 0.3) & (i < 84)
    p.set(wall, CSF, DEEP, ramp(i, 44, 84))
    # Callosum, fornix and septum border on fluid everywhere near the midline.
    midline = inside & (abs(x) < 7) & (y > -45) & (y < 38) & (z > -12) & (z < 34) & (cortex < 0.3) & (deep < .3)
    p.set(midline & (i < 106), CSF, WM, ramp(i, 46, 104))
    plexus = prob("choroid") > 0.4
    p.set(plexus & inside, CSF, ENHANCING, 0.3 + 0.4 * ramp(i, 45, 85))
    # Outer border of the subarachnoid space: fluid or bone, never cortex.
    rim = (inside & (skull > 0.15) & (cortex + white < 0.5)) | (inside & (fluid > 0.5) & (skull > 0.05))
    p.set(rim, CSF, BONE, ramp(skull, 0.1, 0.9))
    return p, inside, head, prob


def trace(points, cost, origin):
    """Cheapest path through `cost` along the waypoints, voxel coordinates."""
    path = []
    for start, end in zip(points, points[1:]):
        s = np.array(start) - origin
        e = np.array(end) - origin
        low = np.maximum(np.minimum(s, e) - 7, 0).astype(int)
        high = np.minimum(np.maximum(s, e) + 8, cost.shape).astype(int)
        box = cost[tuple(slice(l, h) for l, h in zip(low, high))]
        index = np.arange(box.size).reshape(box.shape)
        rows, cols, weights = [], [], []
        for step in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1),
                     (0, 1, 1), (0, 1, -1)]:
            a = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, box.shape))
            b = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, box.shape))
            rows.append(index[a].ravel())
            cols.append(index[b].ravel())
            weights.append(((box[a] + box[b]) / 2 * np.sqrt(np.abs(step).sum())).ravel())
        graph = coo_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(cols))),
                           (box.size, box.size)).tocsr()
        i0 = index[tuple((s - low).astype(int))]
        i1 = index[tuple((e - low).astype(int))]
        _, prev = dijkstra(graph, directed=False, indices=i0, return_predecessors=True)
        leg = [i1]
        while leg[-1] != i0:
            leg.append(prev[leg[-1]])
        path += [np.array(np.unravel_index(v, box.shape)) + low for v in leg[::-1]]
    line = np.array(path, float)
    for axis in range(3):
        line[:, axis] = nd.gaussian_filter1d(line[:, axis], 2.0, mode="nearest")
    return line


def tube(shape, line, radius):
    """Share of each voxel inside a tube round `line`."""
    low = np.maximum(line.min(0) - radius - 3, 0).astype(int)
    high = np.minimum(line.max(0) + radius + 4, shape).astype(int)
    fine = np.concatenate([np.linspace(a, b, 4, endpoint=False) for a, b in zip(line, line[1:])])
    box = np.meshgrid(*[np.arange(l, h) for l, h in zip(low, high)], indexing="ij")
    d, _ = cKDTree(fine).query(np.stack([b.ravel() for b in box], 1), distance_upper_bound=radius + 2)
    out = np.zeros(shape, np.float32)
    out[tuple(slice(l, h) for l, h in zip(low, high))] = ramp(-d, -radius - 0.5, -radius + 0.5).reshape(box[0].shape)
    return out


def both(entries):
    for mark, radius, points in entries:
        yield radius, points
        if mark:
            yield radius, [(-x, y, z) for x, y, z in points]


def dominant(p):
    return np.where(p.s > 0.5, p.b, p.a)


def draw(p, inside, head, prob, seg):
    """Vessels, dura, glands, nerves. Returns masks for the region map."""
    x, y, z = coordinates(p.a.shape, ORIGIN)
    made = {}
    fluid = p.fraction(CSF)
    outside = (~inside) & head
    cost = np.where(inside, 1 + 12 * (1 - fluid) ** 2, 4.0)

    def paint(share, tissue, allow):
        mask = (share > 0.12) & allow
        full = share > 0.66
        host = dominant(p)
        p.a[mask] = host[mask]
        p.b[mask] = tissue
        p.s[mask] = np.where(full, 1.0, share)[mask]
        return mask & (share > 0.4)

    left = np.isin(seg, (2, 3, 17, 18)) & (x < 0)
    right = np.isin(seg, (41, 42, 53, 54)) & (x > 0)
    cerebrum = np.isin(seg, (2, 3, 41, 42, 17, 53))
    cerebellum = np.isin(seg, (7, 8, 46, 47))
    gap = inside & (fluid > 0.35)
    falx_zone = near(left, 4) & near(right, 4) & gap & (abs(x) < 4)
    falx_zone &= (z > 30) | (y < -45) | (y > 40)
    falx = falx_zone & (abs(x - np.round(nd.gaussian_filter1d(
        (falx_zone * x).sum(0) / np.maximum(falx_zone.sum(0), 1), 2.0, axis=0))[None]) < 0.8)
    tent_zone = near(cerebrum, 4.5) & near(cerebellum, 4.5) & gap
    dc, db = nd.distance_transform_edt(~cerebrum), nd.distance_transform_edt(~cerebellum)
    tent = tent_zone & (abs(dc - db) < 0.75)
    bone = (prob("Skull") > 0.5) & ~inside
    dura_convex = nd.binary_dilation(bone) & inside & (z > -45)
    p.set(dura_convex & (fluid > 0.3), CSF, ENHANCING, 0.18)
    p.set(falx | tent, CSF, ENHANCING, 0.5)
    made["Falx"], made["Tentorium"] = falx, tent

    # Sinuses.
    d_out = nd.distance_transform_edt(inside)
    sinus = inside & (fluid > 0.25) & (d_out < 7) & (abs(x) < 5.2 - 0.6 * d_out) & ((z > 0) | (y < -85)) & ((y < 40) | (z > 20))
    sinus &= (z > -14)
    transverse = inside & (d_out < 6) & near(cerebrum, 8) & near(cerebellum, 8) & (y < -48) & (fluid > 0.2) & (z < -8) & (z > -32)
    share = nd.gaussian_filter((sinus | nd.binary_closing(transverse)).astype(np.float32), 0.6)
    made["VenousSinus"] = paint(share, VEIN, head)
    for radius, points in both(VEINS):
        line = trace(points, np.where(inside, 1 + 6 * (1 - fluid) ** 2, 2.0), ORIGIN)
        made["VenousSinus"] |= paint(tube(p.a.shape, line, radius), VEIN, (~inside) | (fluid > 0.15))
    made["CircleOfWillis"] = np.zeros(p.a.shape, bool)
    for radius, points in both(ARTERIES):
        line = trace(points, cost, ORIGIN)
        made["CircleOfWillis"] |= paint(tube(p.a.shape, line, radius), ARTERY, outside | (fluid > 0.2))
    made["CircleOfWillis"] &= (z < -10) & (z > -30) & (abs(x) < 24) & (y > -20) & (y < 20)

    # Glands.
    def ellipsoid(c, r):
        return sum(((v - a) / b) ** 2 for v, a, b in zip((x, y, z), c, r))

    pituitary = ellipsoid((0, 6, -29.5), (7, 6, 3.2)) < 1
    p.set(pituitary, ENHANCING)
    p.set((ellipsoid((0, 0.5, -29), (5, 2, 2.5)) < 1), ENHANCING, FAT, 0.4)
    for k in np.linspace(0, 1, 12):
        stalk = ellipsoid((0, 5 - 1.5 * k, -26.5 + 7 * k), (1.1, 1.1, 1.1)) < 1
        p.set(stalk, ENHANCING)
    made["Sella"] = ellipsoid((0, 6, -29.5), (8, 7, 4)) < 1
    pineal = ellipsoid((0, -28, 3), (3.4, 4, 3)) < 1
    p.set(pineal, CSF, ENHANCING, 0.7)
    made["Pineal"] = ellipsoid((0, -28, 3), (4, 5, 4)) < 1
    cavernous = ((ellipsoid((12, 2, -31), (4, 9, 5.5)) < 1) | (ellipsoid((-12, 2, -31), (4, 9, 5.5)) < 1)) & ~inside & (dominant(p) != ARTERY) & (dominant(p) != ENHANCING) & (dominant(p) != AIR)
    p.set(cavernous, VEIN, ENHANCING, 0.5)
    made["CavernousSinus"] = cavernous
    # Iron.
    for s in (-1, 1):
        p.set((ellipsoid((5 * s, -19.5, -9), (2.7, 2.9, 3.6)) < 1) & inside, IRON, BRAINSTEM, 0.35)
        d = ellipsoid((9.5 * s, -16.5, -12), (5, 2, 4)) < 1
        p.set(d & inside & (fluid < 0.2), IRON, BRAINSTEM, 0.3)
        shell = ellipsoid((14 * s, -56, -34), (7, 8, 5.5))
        p.set((shell < 1) & (shell > 0.45) & inside & (fluid < 0.1), DEEP, WM, 0.25)
    # Internal auditory canals: fluid round a nerve, in the petrous bone.
    made["InternalAuditoryCanal"] = np.zeros(p.a.shape, bool)
    for s in (-1, 1):
        for k in np.linspace(0, 1, 16):
            c = (s * (18 + 13 * k), -29 - 1.5 * k, -36 + 1.5 * k)
            lumen = (ellipsoid(c, (2.4, 2.4, 2.4)) < 1) & ((p.fraction(CSF) < 0.5))
            lumen &= ~(inside & (p.fraction(CSF) < 0.2) & (p.fraction(BONE) < 0.2))
            p.set(lumen, CSF)
            made["InternalAuditoryCanal"] |= ellipsoid(c, (2.6, 2.6, 2.6)) < 1
        for k in np.linspace(0, 1, 24):
            c = (s * (14 + 16 * k), -28 - 2.0 * k, -36.5 + 1.7 * k)
            p.set((ellipsoid(c, (0.9, 0.9, 0.9)) < 1) & (p.fraction(CSF) > 0.4), CSF, BRAINSTEM, 0.6)
        # Petrous apex and labyrinth.
        ring = ellipsoid((s * 36, -32, -33), (4.5, 4.5, 4)) < 1
        p.set(ring & ~inside, BONE, CSF, 0.3)
    # Optic nerves.
    made["OpticNerve"] = np.zeros(p.a.shape, bool)
    for s in (-1, 1):
        points = np.array([(33, 50, -32), (27, 42, -31), (20, 30, -27), (13, 20, -23), (4, 10, -20)], float)
        points[:, 0] *= s
        line = np.concatenate([np.linspace(a, b, 10) for a, b in zip(points, points[1:])])
        for axis in range(3):
            line[:, axis] = nd.gaussian_filter1d(line[:, axis], 3, mode="nearest")
        sheath = tube(p.a.shape, line - ORIGIN, 2.9)
        nerve = tube(p.a.shape, line - ORIGIN, 1.7)
        allow = ~(inside & (fluid < 0.3)) & (dominant(p) != VITREOUS)
        paint(sheath, CSF, allow)
        made["OpticNerve"] |= paint(nerve, BRAINSTEM, allow)
    # Lenses.
    for s in (-1, 1):
        globe = (dominant(p) == VITREOUS) & (x * s > 0)
        c = [float(np.average(np.broadcast_to(v, globe.shape)[globe])) for v in (x, y, z)]
        p.set((ellipsoid((c[0], c[1] + 9.5, c[2]), (4.5, 2.2, 4.5)) < 1), MUSCLE, WM, 0.3)
    return made


def regions(p, inside, head, seg, prob, made):
    x, y, z = coordinates(p.a.shape, ORIGIN)
    out = np.zeros(p.a.shape, np.uint8)
    xx, yy, zz = [np.broadcast_to(v, p.a.shape) for v in (x, y, z)]
    dom = dominant(p)

    def put(name, mask):
        out[mask] = R[name]

    # Outside of the brain.
    put("Face", head & ~inside)
    put("Neck", head & ~inside & (zz < -52 - 0.15 * yy) & (yy < 12))
    d_in = nd.distance_transform_edt(~inside)
    put("Scalp", head & ~inside & ((zz > 15 + 0.2 * yy) | (yy < -45)) & (zz > -48) | (head & ~inside & (zz > 25)))
    put("Skull", head & ~inside & ((prob("Skull") > 0.5) | (np.isin(dom, (BONE, MARROW)) & (d_in < 14))))
    put("Clivus", head & ~inside & (abs(xx) < 12) & (yy < 8) & (yy > -30) & (zz < -31) & (zz > -68)
        & np.isin(dom, (BONE, MARROW)) & (d_in < 9))
    put("ParanasalSinus", head & (dom == AIR) & (yy > 0))
    put("Mastoid", head & ((dom == AIR) | (dom == BONE)) & (yy < 0) & (yy > -52) & (abs(xx) > 28) & (zz < -18) & (zz > -62) & ~inside)
    globe = dom == VITREOUS
    put("Orbit", head & ~inside & (yy > 25) & (zz < -14) & (zz > -48) & (abs(xx) > 11) & near(globe, 26) & ~np.isin(dom, (BONE, AIR)) & (yy < 74))
    put("Eye", near(globe, 2))

    # Cerebrum.
    lobes = np.argmin(np.stack([
        np.min([(abs(xx) - c[0]) ** 2 + (yy - c[1]) ** 2 + (zz - c[2]) ** 2 for c in centres], axis=0)
        for centres in GYRI.values()]), axis=0).astype(np.uint8)
    names = list(GYRI)
    cortex = np.isin(seg, (3, 42, 17, 18, 53, 54))
    brain = inside & ~np.isin(seg, (24, 7, 8, 46, 47, 16, 4, 43, 5, 44, 14, 15, 72))
    lobe_of = np.array([R[n] for n in names], np.uint8)[lobes]
    out[brain] = lobe_of[brain]
    white = brain & (seg != 0) & np.isin(seg, (2, 41, 77))
    put("DeepWhite", white & (nd.distance_transform_edt(~cortex) > 6.5))
    lateral = np.isin(seg, (4, 43, 5, 44, 31, 63))
    put("PeriventricularWhite", white & near(lateral, 5.5))
    box = (zz > -3) & (yy > -42) & (yy < 40) & (zz < 34)
    arch = nd.binary_opening((p.fraction(WM) > 0.55) & box & (abs(xx) <= 1), iterations=1)
    parts, _ = nd.label(arch)
    seed = parts[90, 125 - 30, 71 + 22] or parts[90, 125 - 10, 71 + 27]
    profile = (parts == seed).any(axis=0) if seed else np.zeros(p.a.shape[1:], bool)
    profile = nd.binary_dilation(profile)
    callosum = profile[None] & (abs(xx) <= 11) & (p.fraction(WM) > 0.4) & ~lateral & inside
    callosum |= nd.shift(profile.astype(np.uint8), (0, 2), order=0).astype(bool)[None] & (abs(xx) > 6) & (abs(xx) <= 13) & white & (zz > 15)
    put("CorpusCallosum", callosum)
    thal, caud, put_, pal = (np.isin(seg, s) for s in ((10, 49), (11, 50, 26, 58), (12, 51), (13, 52)))
    put("InternalCapsule", inside & (p.fraction(WM) > 0.4) & near(put_ | pal, 6) & near(thal | caud, 6) & (zz > -6) & (zz < 22) & ~lateral & np.isin(seg, (2, 41, 28, 60, 13, 52)) & ~pal)
    put("Thalamus", thal)
    put("Caudate", caud)
    put("Putamen", put_)
    put("Pallidum", pal)
    put("Hippocampus", np.isin(seg, (17, 53)))
    put("Amygdala", np.isin(seg, (18, 54)))

    # Brainstem, cut across its tilted axis.
    stem = inside & (np.isin(seg, (16, 28, 60)) | np.isin(dom, (BRAINSTEM, IRON)) & (zz < -4) & (abs(xx) < 20)) & (yy < -3) & (dom != CSF) & ~np.isin(seg, (7, 8, 46, 47))
    along = zz - 0.22 * (yy + 25)
    put("Midbrain", stem & (along >= -19))
    put("Pons", stem & (along < -19) & (along >= -45))
    put("Medulla", stem & (along < -45) & (zz >= -64))
    put("CervicalCord", stem & (zz < -64))
    cerebellum = inside & np.isin(seg, (7, 8, 46, 47))
    put("CerebellarHemisphere", cerebellum)
    put("Vermis", cerebellum & (abs(xx) < 7))
    put("Tonsil", cerebellum & (abs(xx) < 17) & (abs(xx) > 1) & (yy > -64) & (yy < -40) & (zz < -39))

    # Fluid.
    f = p.fraction(CSF)
    fluid = inside & (f > 0.5) | (inside & (seg == 24) & (f > 0.2))
    put("ConvexityCsf", fluid)
    infra = near(cerebellum | np.isin(seg, (16,)), 9) & ~near(cortex, 3)
    put("PosteriorFossaCsf", fluid & infra & (zz < 0))
    put("BasalCistern", fluid & (zz < -8) & (zz > -48) & (abs(xx) < 24) & (yy > -42) & (yy < 22))
    put("BasalCistern", fluid & (zz < 14) & (zz > -16) & (abs(xx) < 16) & (yy > -52) & (yy < -20))
    put("CerebellopontineAngle", fluid & (abs(xx) > 9) & (abs(xx) < 30) & (yy > -42) & (yy < -14) & (zz > -50) & (zz < -24))
    temporal = (out == R["Temporal"])
    upper = np.isin(out, (R["Frontal"], R["Insula"], R["Parietal"]))
    put("SylvianFissure", fluid & near(temporal, 4) & near(upper, 4) & (abs(xx) > 24) & (zz < 26))
    put("CisternaMagna", fluid & (zz < -44) & (yy < -44) & (abs(xx) < 22))
    put("SpinalCsf", fluid & (zz < -62))
    put("Suprasellar", fluid & (abs(xx) < 12) & (yy > -7) & (yy < 15) & (zz > -27) & (zz < -11))
    put("LateralVentricle", lateral & (f > 0.3))
    put("ChoroidPlexus", (dom == ENHANCING) & lateral)
    slit = inside & (abs(xx) < 5) & (f > 0.5) & (yy > -26) & (yy < 4) & (zz < 9) & (zz > -16) & (zz > -0.9 * (yy + 12) - 12)
    put("ThirdVentricle", np.isin(seg, (14,)) & (f > .3) | slit & (abs(xx) < 4))
    put("FourthVentricle", np.isin(seg, (15,)) & (f > 0.3))
    put("Aqueduct", (f > 0.3) & inside & (abs(xx) < 3.5) & (yy > -37) & (yy < -24) & (zz < -3) & (zz > -20) & near(stem, 4))
    put("ForamenOfMonro", (f > 0.4) & inside & (abs(xx) < 6) & (yy > -5) & (yy < 4) & (zz > 1) & (zz < 8))

    put("InternalAuditoryCanal", made["InternalAuditoryCanal"])
    for name in ("Falx", "Tentorium", "VenousSinus", "CircleOfWillis", "CavernousSinus", "OpticNerve", "Sella", "Pineal"):
        put(name, made[name])
    # Every voxel of the head has a region: that of its nearest neighbour where no rule fits.
    for part in (inside, head & ~inside):
        hole = part & (out == 0)
        nearest = nd.distance_transform_edt(~(part & (out != 0)), return_distances=False, return_indices=True)
        out[hole] = out[tuple(v[hole] for v in nearest)]
    return out


def neck(p, region, head):
    """Adds slices below the scan: cord, vertebrae, muscles, mandible, pharynx."""
    n = NECK
    nx, ny, _ = p.a.shape
    x, y, z = coordinates((nx, ny, n), (ORIGIN[0], ORIGIN[1], ORIGIN[2] - n))
    d = ORIGIN[2] - z  # millimetres below the scan
    q = Pairs((nx, ny, n))
    reg = np.zeros((nx, ny, n), np.uint8)
    rng = np.random.default_rng(27)
    grain = nd.gaussian_filter(rng.standard_normal((nx, ny, n)), (1.5, 2.0, 3.0))
    grain /= grain.std()
    wobble = nd.gaussian_filter(rng.standard_normal((nx, ny, n)), (6, 6, 11))
    wobble /= wobble.std()

    def el(cx, cy, rx, ry):
        return np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)

    base = nd.binary_closing(head[:, :, 0], iterations=4)
    inner = nd.distance_transform_edt(base) - nd.distance_transform_edt(~base)
    # The outline of the last slice shrinks to a neck behind and a jaw in front.
    back = 0.75 * d * ramp(-y, 20, 70) + 0.5 * d * ramp(abs(x), 25, 80) * ramp(-y, -30, 10)
    front = 0.25 * d * ramp(y, 55, 90) + 0.15 * d
    depth = inner[:, :, None] - np.minimum(back + front, 46)
    mask = depth > 0
    q.set(mask, MUSCLE, FAT, np.clip(0.06 + 0.05 * grain, 0, 0.5))
    planes = depth > 9
    q.set(mask & planes & (np.abs(wobble) < 0.25), MUSCLE, FAT, 0.5 * ramp(-np.abs(wobble), -0.25, -0.02))
    q.set(mask & (depth < 10 + 1.5 * wobble), FAT, MUSCLE, np.clip(0.12 + 0.1 * grain, 0, 1))
    q.set(mask & (depth < 2.2), MUSCLE, FAT, 0.2)
    reg[mask] = R["Neck"]
    reg[mask & (y > 5)] = R["Face"]
    # Mouth: tongue, airway, teeth and mandible.
    def ball(cx, cy, cd, rx, ry, rd):
        return np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((d - cd) / rd) ** 2)

    mouth = (y > 12) & (depth > 6)
    q.set(mask & mouth & (ball(0, 40, 30, 42, 40, 30) < 1), FAT, MUSCLE, np.clip(0.55 + 0.1 * grain, 0, 1))
    tongue = ball(0, 38, 30, 24, 33, 21)
    q.set(mask & mouth & (tongue < 1.06), MUSCLE, AIR, 0.5)
    streak = 0.5 + 0.5 * np.sin(2 * np.pi * (y + 0.6 * d + 1.5 * wobble) / 7)
    q.set(mask & mouth & (tongue < 1), MUSCLE, FAT, np.clip(0.2 + 0.04 * streak + 0.06 * grain, 0, 0.6))
    vault = ball(0, 40, 24, 30, 38, 22)
    q.set(mask & mouth & (d < 14) & (np.abs(vault - 1.03) < 0.07), BONE, MARROW, 0.35)
    q.set(mask & (y > 14) & (depth > 8) & (d < 14) & (vault > 1.1) & (abs(x) < 15), MUSCLE, AIR,
          np.clip(0.5 + 1.2 * wobble, 0, 1))
    arc = np.abs(el(0, 26, 46, 52) - 1)
    body_part = (d > 22) | (y < 16)
    q.set(mask & body_part & (y > -8) & (depth > 7) & (arc < 0.10), BONE, MARROW, np.clip(1.15 - 12 * arc, 0, 0.85))
    airway = el(0, 4 - 0.05 * d, 12, 6) < 1
    q.set(mask & airway, AIR)
    q.set(mask & (np.abs(el(0, 4 - 0.05 * d, 12, 6) - 1.12) < 0.12), MUSCLE, ENHANCING, 0.4)
    # Vertebrae: dens and axis, then a disc and the next body.
    level = d % 19
    bone_r = el(0, -19 - 0.03 * d, 11, 9)
    dens = (d < 14)
    body = np.where(dens, el(0, -20, 6.5, 6.5), bone_r)
    disc = (~dens) & (np.abs(level - 14) < 2.3)
    q.set(body < 1, BONE, MARROW, 0.6)
    q.set(body < 0.86, MARROW, BONE, np.clip(0.3 + 0.05 * grain, 0, 1))
    q.set((body < 1) & disc, MUSCLE, BONE, 0.35)
    arch = (np.abs(el(0, -43, 19, 16) - 1) < 0.13) & (level < 11) & (abs(x) > 4)
    q.set(arch, BONE, MARROW, 0.5)
    spine = (abs(x) < 3.5) & (y < -58) & (y > -58 - 16) & (level > 3) & (level < 12)
    q.set(spine, MARROW, BONE, 0.45)
    ligament = (abs(x) < 1.6) & (y < -60) & (y > -96) & mask & ~spine & (depth > 6)
    q.set(ligament, FAT, MUSCLE, 0.6)
    for s in (-1, 1):
        q.set((el(20 * s, -27, 7, 6) < 1) & (level < 12), BONE, MARROW, 0.65)
        q.set(el(17 * s, -29, 2.2, 2.2) < 1, ARTERY)
        q.set(el(27 * s, -10, 2.9, 2.9) < 1, ARTERY)
        q.set(el(33 * s, -15, 4.2, 3.6) < 1, VEIN)
    # Canal: epidural fat behind, dura, fluid, cord.
    canal = el(0, -43, 12.5, 10)
    q.set(canal < 1.06, FAT, MUSCLE, 0.6)
    q.set(canal < 1.0, ENHANCING, CSF, 0.75)
    q.set(canal < 0.92, CSF)
    cord = el(0, -42.5, 6.6, 5.0)
    q.set(cord < 1.12, CSF, BRAINSTEM, ramp(-cord, -1.12, -0.88))
    horn = (np.abs(np.abs(x) - 2.0) < 1.0) & (np.abs(y + 42.5) < 2.4) | ((np.abs(x) < 2) & (np.abs(y + 42.5) < 0.8))
    q.set(horn & (cord < 0.8), BRAINSTEM, GM, 0.6)
    reg[np.broadcast_to(canal < 1.0, reg.shape)] = R["SpinalCsf"]
    reg[np.broadcast_to(cord < 1.0, reg.shape)] = R["CervicalCord"]
    # The first slices blend by a ragged border into the scan.
    join = Pairs((nx, ny, p.a.shape[2] + n))
    for name in "abs":
        setattr(join, name, np.concatenate([getattr(q, name), getattr(p, name)], axis=2))
    all_regions = np.concatenate([reg, region], axis=2)
    blend = 9
    for k in range(1, blend):
        target = n - k
        pick = wobble[:, :, target] * 2.5 + (blend - k) > blend * 0.45 + 1.0
        pick &= ~np.broadcast_to(canal < 1.06, reg.shape)[:, :, target] & mask[:, :, target]
        for name in "abs":
            a = getattr(join, name)
            a[:, :, target][pick] = a[:, :, n + min(k - 1, 3)][pick]
    return join, all_regions


def main(scan_file, seg_folder, target):
    scan = np.asarray(nib.load(scan_file).dataobj).astype(np.float32)
    seg = np.asarray(nib.load(f"{seg_folder}/seg.mgz").dataobj).astype(np.int32)
    post = {os.path.basename(f)[:-4]: np.asarray(nib.load(f).dataobj).astype(np.float32)
            for f in sorted(glob.glob(f"{seg_folder}/posteriors/*.mgz"))}
    top = max(v.max() for v in post.values())
    for v in post.values():
        v /= top
    p, inside, head, prob = classify(scan, seg, post)
    made = draw(p, inside, head, prob, seg)
    region = regions(p, inside, head, seg, prob, made)
    p, region = neck(p, region, head)
    save(p, region, target)


def save(p, region, target):
    share = np.rint(p.s * 15).astype(np.uint8)
    full = share == 15
    a = np.where(full, p.b, p.a)
    share[full] = 0
    b = np.where(share == 0, a, p.b)
    pair = (a * 16 + b).astype(np.uint8)
    # Right-left and front-back turn round: MNI (RAS) to LPS.
    planes = [np.ascontiguousarray(v[::-1, ::-1].transpose(2, 1, 0)) for v in (pair, share, region)]
    filled = planes[0] != 0
    span = [np.where(filled.any(axis=tuple(i for i in range(3) if i != a)))[0] for a in range(3)]
    cut = tuple(slice(max(s[0] - 1, 0), s[-1] + 2) for s in span)
    planes = [v[cut] for v in planes]
    lps = [-90 + cut[2].start, -91 + cut[1].start, int(ORIGIN[2]) - NECK + cut[0].start]
    nz, ny, nx = planes[0].shape
    data = b"HEADATL1" + struct.pack("<3H3h", nx, ny, nz, *lps)
    for v in planes:
        delta = v.copy()
        delta[:, :, 1:] -= v[:, :, :-1]
        data += delta.tobytes()
    with open(target, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(data)
    print(nx, ny, nz, lps, len(data))


if __name__ == "__main__":
    main(*sys.argv[1:])
