//! Evaluates alarms as CloudWatch does, for the tests and for the dashboard of a local stack, which
//! have no CloudWatch.
//!
//! Pure: no I/O and no clock. The definitions come from `template.yaml`, the figures and the time
//! from the caller. What CloudWatch refuses, and what this crate cannot evaluate, is refused when
//! the definitions are read.
//!
//! Each row of this table depends only on the rows above it:
//!
//! | | |
//! |---|---|
//! | [`Metric`], [`Figures`] | what is published, and when it is known |
//! | `statistic` | one value for the values of a period |
//! | `expression` | metric math |
//! | `rule` | the rules of composite alarms |
//! | `state` | from the points of the latest periods to a state |
//! | [`Alarms`] | the definitions of the template |
//! | [`Monitor`] | the states of all alarms as time passes |

mod definition;
mod expression;
mod metric;
mod monitor;
mod reading;
mod rule;
mod state;
mod statistic;

pub use definition::{Alarms, CompositeAlarm, MetricAlarm};
pub use expression::ExpressionError;
pub use metric::{Figures, Metric, OWN_NAMESPACE};
pub use monitor::{Change, Monitor};
pub use reading::{DefinitionError, Refusal};
pub use rule::RuleError;
pub use state::State;
pub use statistic::Statistic;
