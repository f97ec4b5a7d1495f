//! The ranks of an MPI job. Tensors travel as host memory.

use std::mem::ManuallyDrop;

use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::GroupError;

/// All ranks. MPI ends only when it is told to: a rank that ends with an error while others wait
/// for it must not wait for them, so that `mpirun` sees it die and ends them.
pub(super) struct World(ManuallyDrop<Universe>);

impl World {
    pub(super) fn join() -> Result<Self, GroupError> {
        mpi::initialize()
            .map(|universe| Self(ManuallyDrop::new(universe)))
            .ok_or(GroupError::Started)
    }

    pub(super) fn rank(&self) -> usize {
        usize::try_from(self.0.world().rank()).unwrap_or_default()
    }

    pub(super) fn size(&self) -> usize {
        usize::try_from(self.0.world().size()).unwrap_or(1)
    }

    pub(super) fn finish(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }

    pub(super) fn wait(&self) {
        self.0.world().barrier();
    }

    pub(super) fn sum(&self, own: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; own.len()];
        self.0.world().all_reduce_into(own, &mut all[..], SystemOperation::sum());
        all
    }

    pub(super) fn gather(&self, own: &[f32]) -> (Vec<f32>, usize) {
        let world = self.0.world();
        let count = i32::try_from(own.len()).unwrap_or(i32::MAX);
        let mut counts = vec![0; self.size()];
        world.all_gather_into(&count, &mut counts[..]);
        let starts = counts.iter().scan(0, |next, count| {
            *next += count;
            Some(*next - count)
        });
        let starts: Vec<i32> = starts.collect();
        let first = usize::try_from(starts[self.rank()]).unwrap_or_default();
        let total: i32 = counts.iter().sum();
        let mut all = vec![0.0; usize::try_from(total).unwrap_or_default()];
        let mut parts = PartitionMut::new(&mut all[..], counts, &starts[..]);
        world.all_gather_varcount_into(own, &mut parts);
        (all, first)
    }
}
