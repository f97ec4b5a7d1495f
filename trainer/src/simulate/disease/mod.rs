//! What is wrong with a simulated patient: 52 diagnoses as a declarative table
//! (`diagnoses.toml`), the code that plans them in atlas space, and the layers that put them into
//! a built head.
//!
//! Nothing is painted on images. A lesion replaces tissue by a material with relaxation times,
//! diffusion, susceptibility and uptake of contrast agent, or displaces it; what each contrast
//! shows follows from the signal equations.
//!
//! Labels that follow from others are there only when they are really there: mass effect from
//! [`MASS_EFFECT_MM`], midline shift from [`MIDLINE_SHIFT_MM`] at the septum, subfalcine
//! herniation from [`HERNIATION_SHIFT_MM`], oedema from [`OEDEMA_ML`], ventriculomegaly from
//! [`VENTRICULOMEGALY`].

mod brush;
mod distance;
mod draw;
mod finding;
mod implied;
mod lesions;
mod noise;
mod paint;
mod places;
mod plan;
mod structure;
mod table;
#[cfg(test)]
mod tests;
mod vector;
mod vessels;
mod white_matter;

pub use draw::{Person, plan, plan_with};
pub use finding::{
    Detail, Diffusion, Enhancement, Finding, Incidental, IncidentalKind, Intensity, Lesion, Place,
    Severity, Side, Stage,
};
pub use plan::{
    HERNIATION_SHIFT_MM, MASS_EFFECT_MM, MIDLINE_SHIFT_MM, OEDEMA_ML, Plan, VENTRICULOMEGALY,
};
pub use table::{Table, TableError};
