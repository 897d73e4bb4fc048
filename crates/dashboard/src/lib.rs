//! The figures of a local stack, as the two dashboards of the template show them in CloudWatch, and
//! the alarms that can be judged by them.
//!
//! Pure: no I/O and no clock. A [`Dashboard`] is fed with log lines, queues and the time, and a
//! [`View`] draws one of its pages. `cargo local dashboard` does both once a second, and `cargo ops
//! health` asks one for the alarms that ring.
//!
//! Each row of this table depends only on the rows above it:
//!
//! | | |
//! |---|---|
//! | `metrics` | sums of the metrics in log lines |
//! | `business` | orders per minute and per shop |
//! | [`Depth`] | what the messages of a queue wait for |
//! | `system` | functions, queues and errors |
//! | `alarms` | the alarms of the template that can be judged |
//! | [`Dashboard`] | all of it |
//! | [`View`], [`Page`] | the look |

mod alarms;
mod business;
mod dashboard;
mod depth;
mod metrics;
mod system;
#[cfg(test)]
mod tests;
mod view;

pub use alarms::{PAST, Ringing};
pub use dashboard::Dashboard;
pub use depth::Depth;
pub use view::{Page, View};
