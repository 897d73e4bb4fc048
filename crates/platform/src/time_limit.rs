//! The end of an invocation. Lambda kills a function at its deadline, and nobody learns what it was
//! waiting for. Work therefore stops a moment earlier, so that an answer and a log line get out.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;

/// What is left of an invocation for an answer and a log line.
pub const RESERVE: Duration = Duration::from_millis(500);

/// Why work was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gave up before the end of the invocation, which is killed at its timeout")]
pub struct OutOfTime;

/// Does `work`, or gives it up when only `reserve` is left until the deadline of the invocation.
/// Calls that are on their way then may or may not have an effect.
///
/// # Errors
/// The work was given up.
pub async fn within<T>(
    context: &Context,
    reserve: Duration,
    work: impl Future<Output = T>,
) -> Result<T, OutOfTime> {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    tokio::time::timeout(left.saturating_sub(reserve), work).await.map_err(|_| OutOfTime)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::UNIX_EPOCH};

    use super::*;

    fn ending_in(left: Duration) -> Context {
        let mut context = Context::default();
        let deadline = SystemTime::now() + left;
        context.deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        context
    }

    #[tokio::test]
    async fn work_that_never_ends_is_given_up_before_the_deadline() {
        let context = ending_in(Duration::from_secs(20));
        let result = within(&context, Duration::from_millis(19_950), pending::<()>()).await;
        assert_eq!(result, Err(OutOfTime));
        assert!(SystemTime::now() < context.deadline());
    }

    #[tokio::test]
    async fn work_that_ends_in_time_is_answered() {
        let context = ending_in(Duration::from_secs(5));
        assert_eq!(within(&context, Duration::from_secs(1), async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn nothing_is_waited_for_after_the_deadline() {
        let context = ending_in(Duration::ZERO);
        let result = within(&context, Duration::from_secs(1), pending::<()>()).await;
        assert_eq!(result, Err(OutOfTime));
    }
}
