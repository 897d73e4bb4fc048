//! What the messages of a queue wait for.

use jiff::SignedDuration;

/// SQS leaves messages out of the age of a queue once they were received so often.
const TRIED: u32 = 3;

/// The messages of a queue at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Those that can be received.
    pub waiting: u64,
    /// Those that a consumer has received, or that wait for their next try.
    pub in_flight: u64,
    /// Those that cannot be received yet for the first time.
    pub delayed: u64,
    /// For how long the oldest has been in the queue, as SQS counts it.
    pub oldest: SignedDuration,
}

impl Depth {
    /// Counts a message of this age that was received so often.
    pub fn add(&mut self, age: SignedDuration, is_visible: bool, receives: u32) {
        let count = match (is_visible, receives) {
            (true, _) => &mut self.waiting,
            (false, 0) => &mut self.delayed,
            (false, _) => &mut self.in_flight,
        };
        *count += 1;
        if receives < TRIED {
            self.oldest = self.oldest.max(age);
        }
    }
}
