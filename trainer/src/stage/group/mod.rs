//! Processes that train together: gradients are summed and embeddings gathered by MPI
//! (decision 0012).
//!
//! Every process is a rank with one device; `mpirun` or `srun` starts them. All read one run
//! folder, and rank 0 alone writes it. When a rank dies, MPI ends the others; all go on from the
//! last checkpoint with `--resume`.

use std::collections::HashMap;
use std::ops::Range;

use burn::DispatchDevice;
use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use models::nn::Compute;

use self::world::World;

#[cfg_attr(feature = "mpi", path = "mpi.rs")]
#[cfg_attr(not(feature = "mpi"), path = "absent.rs")]
mod world;

type Inner = <Compute as AutodiffBackend>::InnerBackend;

/// Ranks that cannot work together.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The program has no MPI.
    #[error(
        "--mpi: this trainer was built without MPI; build it with `cargo build --workspace --all-targets --features trainer/mpi`"
    )]
    WithoutMpi,
    /// MPI was started twice.
    #[error("MPI cannot be started: it was already started or has ended in this process")]
    Started,
    /// A batch that ranks cannot share.
    #[error("batch is {batch}, expected a multiple of the {size} ranks times part, {part}")]
    Batch {
        /// Studies of the batch.
        batch: usize,
        /// Processes.
        size: usize,
        /// Studies computed at a time.
        part: usize,
    },
}

/// The processes of a run.
pub struct Group {
    /// `None` for a process alone.
    world: Option<World>,
}

impl Group {
    /// A process alone.
    #[must_use]
    pub fn alone() -> Self {
        Self { world: None }
    }

    /// Joins the ranks that were started together; returns when all are there.
    ///
    /// # Errors
    ///
    /// When the program was built without MPI.
    pub fn join() -> Result<Self, GroupError> {
        Ok(Self { world: Some(World::join()?) })
    }

    /// This process, from 0; rank 0 writes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.world.as_ref().map_or(0, World::rank)
    }

    /// Number of processes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.world.as_ref().map_or(1, World::size)
    }

    /// This rank's part of the batch.
    ///
    /// # Errors
    ///
    /// When it cannot be shared equally.
    pub fn share(&self, batch: usize, part: usize) -> Result<Range<usize>, GroupError> {
        let size = self.size();
        let own = batch / size;
        if size > 1 && (!batch.is_multiple_of(size) || !own.is_multiple_of(part)) {
            return Err(GroupError::Batch { batch, size, part });
        }
        Ok(self.rank() * own..(self.rank() + 1) * own)
    }

    /// Leaves the other ranks; a rank that fails does not come here, and ends them.
    pub fn finish(self) {
        if let Some(world) = self.world {
            world.finish();
        }
    }

    /// Returns when every rank has come here.
    pub fn wait(&self) {
        if let Some(world) = &self.world {
            world.wait();
        }
    }

    /// Values of all ranks in order, and where this rank's begin. Ranks may have different
    /// numbers of them.
    #[must_use]
    pub fn gather(&self, own: &[f32]) -> (Vec<f32>, usize) {
        self.world.as_ref().map_or_else(|| (own.to_vec(), 0), |world| world.gather(own))
    }

    /// Rows of all ranks in order, and the first of this one's.
    ///
    /// # Shapes
    ///
    /// `own`: `[n, D]`, any `n`; output: `[N, D]`.
    #[must_use]
    pub fn gather_rows(&self, own: Tensor<Inner, 2>) -> (Tensor<Inner, 2>, usize) {
        if self.size() == 1 {
            return (own, 0);
        }
        let (width, device) = (own.dims()[1], own.device());
        let values: Vec<f32> = own.into_data().iter().collect();
        let (all, first) = self.gather(&values);
        let rows = all.len() / width;
        (Tensor::from_data(TensorData::new(all, [rows, width]), &device), first / width)
    }

    /// Gradients summed over the ranks. Those that only some ranks have are summed too.
    #[must_use]
    pub fn sum<M: AutodiffModule<Compute>>(
        &self,
        model: &M,
        gradients: GradientsParams,
    ) -> GradientsParams {
        let Some(world) = self.world.as_ref().filter(|world| world.size() > 1) else {
            return gradients;
        };
        let mut flat = Flatten { gradients: &gradients, values: Vec::new(), slots: HashMap::new() };
        model.visit(&mut flat);
        let Flatten { values, slots, .. } = flat;
        let device = model.devices().into_iter().next().unwrap_or_default();
        let device = Tensor::<Compute, 1>::zeros([1], &device).inner().device();
        let mut summed = Unflatten {
            values: world.sum(&values),
            slots,
            gradients: GradientsParams::new(),
            device,
        };
        model.visit(&mut summed);
        summed.gradients
    }
}

/// Every parameter with room in a flat vector: those without a gradient on this rank may have
/// one on another.
struct Flatten<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f32>,
    slots: HashMap<ParamId, Range<usize>>,
}

impl ModuleVisitor<Compute> for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
        let start = self.values.len();
        match self.gradients.get::<Inner, D>(param.id) {
            Some(gradient) => self.values.extend(gradient.into_data().iter::<f32>()),
            None => self.values.resize(start + param.shape().num_elements(), 0.0),
        }
        self.slots.insert(param.id, start..self.values.len());
    }
}

struct Unflatten {
    values: Vec<f32>,
    slots: HashMap<ParamId, Range<usize>>,
    gradients: GradientsParams,
    device: DispatchDevice,
}

impl ModuleVisitor<Compute> for Unflatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
        let Some(slot) = self.slots.get(&param.id).filter(|_| param.is_require_grad()) else {
            return;
        };
        let values = TensorData::new(self.values[slot.clone()].to_vec(), param.shape());
        self.gradients.register(param.id, Tensor::<Inner, D>::from_data(values, &self.device));
    }
}
