//! A payment provider to practise on: Stripe's PaymentIntents and Refunds on the wire, in memory.
//!
//! It keeps Stripe's documented shapes, test payment methods and idempotency, takes cards only, and
//! can be told to be slow, to fail and to lose its answers: with a [`Control`], or by hand:
//!
//! ```sh
//! curl $PROVIDER/_sandbox/faults --json '{"route": "confirm", "times": 2, "delay_ms": 500, "answer": {"fail": 503}}'
//! curl $PROVIDER/_sandbox/faults --json '{"order_id": "0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa", "answer": "lose"}'
//! curl "$PROVIDER/_sandbox/faults?order_id=0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa" --request DELETE
//! curl $PROVIDER/_sandbox/faults --request DELETE
//! curl $PROVIDER/_sandbox/ledger
//! ```

mod cards;
mod control;
mod faults;
mod idempotency;
mod ledger;
mod request;
mod server;
mod wire;

pub use control::{Control, LedgerEntry, RefundEntry};
pub use faults::{Fault, FaultyAnswer, Route};
pub use ledger::{IntentStatus, RefundStatus};
pub use server::serve;
