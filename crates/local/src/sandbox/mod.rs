//! A payment provider for development and tests: Stripe's PaymentIntents, Refunds and Disputes
//! APIs, in memory.
//!
//! It has Stripe's documented wire format, test payment methods and idempotency, accepts cards
//! only, and has a page on which a customer authenticates a payment, as their bank would. Faults
//! make it slow, make it fail, or make it lose its answers. Set them with `cargo local faults`,
//! with a [`Control`], or by hand:
//!
//! ```sh
//! ORDER=0b7c55f2-9d4e-4c6b-8a1f-3e2d7c9014aa
//! curl $PROVIDER/_sandbox/faults --json '{"route": "confirm", "times": 2, "delay_ms": 500}'
//! curl $PROVIDER/_sandbox/faults --json '{"answer": {"fail": 503}}'
//! curl $PROVIDER/_sandbox/faults --json "{\"order_id\": \"$ORDER\", \"answer\": \"lose\"}"
//! curl "$PROVIDER/_sandbox/faults?order_id=$ORDER" --request DELETE
//! curl $PROVIDER/_sandbox/faults
//! curl $PROVIDER/_sandbox/faults/1 --request DELETE
//! curl $PROVIDER/_sandbox/faults --request DELETE
//! curl $PROVIDER/_sandbox/ledger
//! curl $PROVIDER/_sandbox/disputes --json '{"intent": "pi_1", "status": "needs_response"}'
//! curl $PROVIDER/_sandbox/disputes/dp_1 --json '{"status": "won"}'
//! curl $PROVIDER/_sandbox/refunds/re_1 --json '{"status": "failed"}'
//! curl $PROVIDER/_sandbox/objects/pi_1 --json '{"status": "requires_capture"}' --request PUT
//! ```

mod authentication;
mod cards;
mod control;
mod currencies;
mod disputes;
mod events;
mod faults;
mod idempotency;
mod ledger;
mod request;
mod server;
mod wire;

pub use authentication::RETURNED;
pub use control::{Control, DisputeEntry, LedgerEntry, RefundEntry};
pub use disputes::DisputeStatus;
pub use faults::{Fault, FaultId, FaultyAnswer, Route};
pub use ledger::{IntentStatus, RefundStatus};
pub use server::{PUBLISHABLE_KEY, serve};
