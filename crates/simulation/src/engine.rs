//! The parts of a simulation that do not depend on what is simulated: time, chance, tasks, and
//! calls that can fail.

pub(crate) mod calls;
pub(crate) mod clock;
pub(crate) mod core;
pub(crate) mod luck;
pub(crate) mod tasks;
pub(crate) mod trace;
