//! Processes that train together: gradients are summed and embeddings gathered over TCP by
//! burn-collective (decision 0012).
//!
//! Every process is a rank with one device. Rank 0 also runs the orchestrator through which
//! ranks find each other; tensors then travel between them directly. A killed rank makes the
//! others fail; all go on from the last checkpoint with `--resume`.

use std::ops::Range;
use std::str::FromStr;

use burn::DispatchDevice;
use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_collective::{
    AllReduceStrategy, CollectiveConfig, PeerId, ReduceOperation, all_reduce, finish_collective,
    register, start_global_orchestrator,
};
use models::nn::Compute;

type Inner = <Compute as AutodiffBackend>::InnerBackend;

/// Where ranks find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// This process.
    pub rank: usize,
    /// All processes.
    pub size: usize,
    /// Host and first port of rank 0: the orchestrator; rank `r` serves tensors on port + 1 + r.
    pub address: String,
    /// Host under which the other ranks reach this one.
    pub host: String,
}

/// Ranks that cannot work together.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The address is none.
    #[error("{found:?} is not host:port; give rank 0's address, for example node01:29500")]
    Address {
        /// What was given.
        found: String,
    },
    /// The engine failed.
    #[error("rank {rank} cannot exchange tensors with the others: {reason}; was one killed? Start all ranks again with --resume")]
    Exchange {
        /// This process.
        rank: usize,
        /// What the engine says.
        reason: String,
    },
}

/// The processes of a run; one alone needs no network.
#[derive(Debug)]
pub struct Group {
    rank: usize,
    size: usize,
    device: DispatchDevice,
}

impl Group {
    /// A process alone.
    #[must_use]
    pub fn alone(device: DispatchDevice) -> Self {
        Self { rank: 0, size: 1, device }
    }

    /// Joins the other ranks; returns when all are there.
    ///
    /// # Errors
    ///
    /// When the address is none, or a rank does not come.
    pub fn join(ranks: &Ranks, device: DispatchDevice) -> Result<Self, GroupError> {
        if ranks.size == 1 {
            return Ok(Self::alone(device));
        }
        let wrong = || GroupError::Address { found: ranks.address.clone() };
        let (host, port) = ranks.address.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let own = port + 1 + u16::try_from(ranks.rank).map_err(|_| wrong())?;
        let failed = |reason: String| GroupError::Exchange { rank: ranks.rank, reason };
        if ranks.rank == 0 {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    runtime.block_on(start_global_orchestrator(port));
                }
            });
        }
        let address = |text: String| {
            FromStr::from_str(&text).map_err(|_| GroupError::Address { found: text.clone() })
        };
        let size = u32::try_from(ranks.size).map_err(|_| wrong())?;
        let config = CollectiveConfig::default()
            .with_num_devices(1)
            .with_num_nodes(size)
            .with_global_address(address(format!("ws://{host}:{port}"))?)
            .with_node_address(address(format!("ws://{}:{own}", ranks.host))?)
            .with_data_service_port(own)
            .with_global_all_reduce_strategy(AllReduceStrategy::Centralized);
        let peer = peer(ranks.rank);
        register::<Inner>(peer, device.clone(), config).map_err(|e| failed(format!("{e:?}")))?;
        Ok(Self { rank: ranks.rank, size: ranks.size, device })
    }

    /// This rank's device, without differentiation.
    #[must_use]
    pub fn device(&self) -> &DispatchDevice {
        &self.device
    }

    /// True for the rank that writes.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Number of processes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// This rank's part of `n` items; `n` is a multiple of the number of ranks.
    #[must_use]
    pub fn share(&self, n: usize) -> Range<usize> {
        let own = n / self.size;
        self.rank * own..(self.rank + 1) * own
    }

    /// Items of the ranks before this one, when every rank has `own`.
    #[must_use]
    pub fn offset(&self, own: usize) -> usize {
        self.rank * own
    }

    /// Rows of all ranks in order, and the first of this one. Ranks may have different numbers
    /// of rows.
    ///
    /// # Errors
    ///
    /// When a rank is gone.
    pub fn gather(&self, own: Tensor<Inner, 2>) -> Result<(Tensor<Inner, 2>, usize), GroupError> {
        if self.size == 1 {
            return Ok((own, 0));
        }
        let [rows, width] = own.dims();
        let counts = self.counts(rows)?;
        let first: usize = counts[..self.rank].iter().sum();
        let total: usize = counts.iter().sum();
        let device = own.device();
        let before = Tensor::<Inner, 2>::zeros([first, width], &device);
        let after = Tensor::<Inner, 2>::zeros([total - first - rows, width], &device);
        let parts = [before, own, after].into_iter().filter(|part| part.dims()[0] > 0).collect();
        Ok((self.all_sum(Tensor::cat(parts, 0))?, first))
    }

    /// Numbers of all ranks in order.
    ///
    /// # Errors
    ///
    /// When a rank is gone.
    pub fn gather_ids(&self, own: &[i64]) -> Result<Vec<i64>, GroupError> {
        if self.size == 1 {
            return Ok(own.to_vec());
        }
        #[expect(clippy::cast_precision_loss, reason = "ids of a batch are below 2^24")]
        let values: Vec<f32> = own.iter().map(|id| *id as f32).collect();
        let own = TensorData::new(values, [own.len(), 1]);
        let (all, _) = self.gather(Tensor::from_data(own, &self.device))?;
        Ok(all.into_data().iter::<i64>().collect())
    }

    fn counts(&self, rows: usize) -> Result<Vec<usize>, GroupError> {
        let mut counts = vec![0.0f32; self.size];
        #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^24")]
        let own = rows as f32;
        counts[self.rank] = own;
        let counts = Tensor::<Inner, 1>::from_data(counts.as_slice(), &self.device);
        let counts = self.all_sum(counts)?.into_data();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        Ok(counts.iter::<f32>().map(|n| n as usize).collect())
    }

    /// Gradients summed over ranks.
    ///
    /// # Errors
    ///
    /// When a rank is gone.
    pub fn sum<M: AutodiffModule<Compute>>(
        &self,
        model: &M,
        gradients: GradientsParams,
    ) -> Result<GradientsParams, GroupError> {
        if self.size == 1 {
            return Ok(gradients);
        }
        let mut flat = Flatten { gradients: &gradients, values: Vec::new(), slots: Vec::new() };
        model.visit(&mut flat);
        let Flatten { values, slots, .. } = flat;
        let flat = Tensor::<Inner, 1>::from_data(values.as_slice(), &self.device);
        let summed: Vec<f32> = self.all_sum(flat)?.into_data().iter().collect();
        let mut out = Unflatten {
            summed,
            slots: slots.into_iter().collect(),
            gradients: GradientsParams::new(),
            device: self.device.clone(),
        };
        model.visit(&mut out);
        Ok(out.gradients)
    }

    fn all_sum<const D: usize>(&self, own: Tensor<Inner, D>) -> Result<Tensor<Inner, D>, GroupError> {
        let failed = |e| GroupError::Exchange { rank: self.rank, reason: format!("{e:?}") };
        let primitive = own.into_primitive().tensor();
        let summed = all_reduce::<Inner>(peer(self.rank), primitive, ReduceOperation::Sum);
        Ok(Tensor::from_primitive(TensorPrimitive::Float(summed.map_err(failed)?)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.size > 1 {
            // The others may be gone already; there is nothing left to do about it.
            drop(finish_collective::<Inner>(peer(self.rank)));
        }
    }
}

fn peer(rank: usize) -> PeerId {
    PeerId(u32::try_from(rank).unwrap_or(u32::MAX))
}

/// Every parameter with room in a flat vector: those without a gradient on this rank may have
/// one on another.
struct Flatten<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f32>,
    slots: Vec<(ParamId, Range<usize>)>,
}

impl ModuleVisitor<Compute> for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
        let start = self.values.len();
        match self.gradients.get::<Inner, D>(param.id) {
            Some(gradient) => self.values.extend(gradient.into_data().iter::<f32>()),
            None => self.values.resize(start + param.shape().num_elements(), 0.0),
        }
        self.slots.push((param.id, start..self.values.len()));
    }
}

struct Unflatten {
    summed: Vec<f32>,
    slots: std::collections::HashMap<ParamId, Range<usize>>,
    gradients: GradientsParams,
    device: DispatchDevice,
}

impl ModuleVisitor<Compute> for Unflatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
        let Some(slot) = self.slots.get(&param.id) else { return };
        if !param.is_require_grad() {
            return;
        }
        let values = TensorData::new(self.summed[slot.clone()].to_vec(), param.shape());
        self.gradients.register(param.id, Tensor::<Inner, D>::from_data(values, &self.device));
    }
}
