use crate::{
    observation::{Observation, Rest},
    violation::Violation,
};

/// Finds violations of the rules about one concern.
pub(crate) trait Check {
    /// Looks at the next observation.
    fn observe(&mut self, observation: &Observation) -> Result<(), Violation>;

    /// Looks at what is left, once the run has come to rest.
    fn check(&self, _rest: &Rest) -> Result<(), Violation> {
        Ok(())
    }
}
