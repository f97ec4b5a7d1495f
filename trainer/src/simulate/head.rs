//! The simulated head: what anatomy, lesions and acquisition agree on. Plain data.
//!
//! Patient space is LPS in millimetres with its origin at the anterior commissure: x grows to the
//! patient's left, y to the back, z to the top. An atlas position in MNI coordinates `(x, y, z)`
//! is `(-x, -y, z)` here. Volumes are C-ordered `[z][y][x]`, x fastest.

/// A regular isotropic grid in patient space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Voxels along x, y, z.
    pub size: [usize; 3],
    /// Edge of a voxel.
    pub spacing_mm: f32,
    /// Centre of the first voxel.
    pub origin_mm: [f32; 3],
}

/// Tissues of the undamaged head. A voxel holds a fraction of each, as parts of 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tissue {
    /// Outside the head, sinuses, mastoid cells.
    Air,
    /// Ventricles, cisterns, sulci.
    Csf,
    /// Cortex, cerebellar cortex.
    GreyMatter,
    /// White matter.
    WhiteMatter,
    /// Caudate, putamen, thalamus, dentate: between grey and white, some iron.
    DeepGrey,
    /// Pallidum, substantia nigra, red nucleus: iron.
    IronGrey,
    /// Compact bone.
    Bone,
    /// Marrow of the skull and clivus: fat-like.
    Marrow,
    /// Scalp and orbital fat.
    Fat,
    /// Muscle and skin.
    Muscle,
    /// Vitreous of the eye.
    Vitreous,
    /// Arteries: flow.
    Artery,
    /// Veins and sinuses: deoxygenated, slow flow.
    Vein,
    /// Anterior pituitary, choroid plexus, pineal, dura, mucosa: enhance without a barrier.
    Enhancing,
    /// Spinal cord and brainstem: white matter with shorter relaxation contrast.
    Brainstem,
    /// Unused; makes a voxel sixteen bytes.
    Reserved,
}

/// Number of tissues.
pub const TISSUES: usize = 16;

/// Physical properties of a material at one field strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Material {
    /// Proton density, CSF is 1.
    pub density: f32,
    /// Longitudinal relaxation time.
    pub t1_ms: f32,
    /// Transverse relaxation time.
    pub t2_ms: f32,
    /// Effective transverse relaxation time (gradient echo).
    pub t2_star_ms: f32,
    /// Apparent diffusion coefficient.
    pub adc_um2_ms: f32,
    /// Susceptibility relative to brain.
    pub chi_ppm: f32,
    /// Concentration of the contrast agent after injection (0 where the barrier is whole).
    pub gadolinium_mm: f32,
    /// 0 at rest; 1 for arterial flow: void on spin echo, bright on inflow angiography.
    pub flow: f32,
}

/// A material that replaces what was there, with a soft edge: `fraction' = fraction * (1 - a)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What the lesion is made of, at 1.5 T and at 3 T.
    pub material: [Material; 2],
    /// Where, and how much.
    pub alpha: Alpha,
    /// Component of the voxel mask this layer belongs to (1, 2, ...); `None` for changes that are
    /// no lesion of their own.
    pub component: Option<u8>,
}

/// A box of opacities inside a grid, as parts of 255.
#[derive(Clone, Debug, PartialEq)]
pub struct Alpha {
    /// First voxel of the box along x, y, z.
    pub lower: [usize; 3],
    /// Voxels of the box along x, y, z.
    pub size: [usize; 3],
    /// C-ordered `[z][y][x]`.
    pub parts: Vec<u8>,
}

/// A patient's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// Where its voxels are.
    pub grid: Grid,
    /// Tissue fractions of each voxel, indexed by [`Tissue`]; they sum to 255.
    pub fractions: Vec<[u8; TISSUES]>,
    /// Region of each voxel, an index that `regions::Region` names; 0 is none.
    pub region: Vec<u8>,
    /// Lesions and other changes, applied in this order.
    pub layers: Vec<Layer>,
}

/// A local displacement of tissue: mass effect (outward) or shrinkage (inward).
///
/// Tissue at distance `d` outside of `radius_mm` moves by
/// `displacement_mm * exp(-(d - radius)^2 / (2 * reach^2))`, away from the centre, or along
/// `direction` when that is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Push {
    /// Centre, atlas space.
    pub centre_mm: [f32; 3],
    /// Radius of what pushes.
    pub radius_mm: f32,
    /// Largest displacement; negative pulls in.
    pub displacement_mm: f32,
    /// How far the push is felt.
    pub reach_mm: f32,
    /// Fixed direction instead of outward.
    pub direction: Option<[f32; 3]>,
}

impl Grid {
    /// Number of voxels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size.iter().product()
    }

    /// True when there is no voxel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of a voxel.
    #[must_use]
    pub fn index(&self, [x, y, z]: [usize; 3]) -> usize {
        (z * self.size[1] + y) * self.size[0] + x
    }

    /// Centre of a voxel.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a grid has far fewer than 2^23 voxels an axis")]
    pub fn position_mm(&self, voxel: [usize; 3]) -> [f32; 3] {
        std::array::from_fn(|a| self.origin_mm[a] + voxel[a] as f32 * self.spacing_mm)
    }

    /// Continuous voxel coordinates of a position.
    #[must_use]
    pub fn voxel(&self, position_mm: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|a| (position_mm[a] - self.origin_mm[a]) / self.spacing_mm)
    }
}
