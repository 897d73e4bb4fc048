//! Why a command failed, each with what to do about it.

use books::words::name;
use jiff::Timestamp;
use platform::{bus::PublishError, time::moment};
use shop::{
    id::{LocationId, OrderId},
    money::{InvalidAmount, Money},
    order::{MAX_REFUNDS, Status},
};
use tables::orders::TriggerError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The stack cannot be found, or a call of AWS failed.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The books cannot be read.
    #[error(transparent)]
    Books(#[from] books::Error),
    /// A stack cannot be imported into.
    #[error(
        "there is a stack {0} already: delete it, or deploy to it with `sam deploy`; only a stack \
         that does not exist can be created out of kept resources"
    )]
    StackExists(String),
    /// A deleted stack has not left this resource.
    #[error("nothing is left of {0}: check account, region and the stack's name")]
    NothingKept(String),
    /// Several stacks of the same name may have left this resource.
    #[error(
        "{logical_id} could be any of {candidates}: compare their contents, and say which one with \
         {logical_id}=NAME"
    )]
    Ambiguous {
        logical_id: String,
        /// The physical names.
        candidates: String,
    },
    /// A resource with a deletion policy is of a type that this command does not know.
    #[error("{0} is kept, but `cargo ops import` cannot find resources of its type: teach it")]
    NotImportable(String),
    /// The template cannot be read.
    #[error("template.yaml is not YAML")]
    Template(#[source] yaml_serde::Error),
    /// No order has that id.
    #[error("there is no order {0} in this stack")]
    NoOrder(OrderId),
    /// No shop has that id.
    #[error("there is no shop {0} in this stack")]
    NoShop(LocationId),
    /// What is tried again may have been done by hand.
    #[error(
        "something about order {0} was settled by hand: trying again could give its money back \
         twice; `cargo ops journal --since 90d` says what was done, and `cargo ops reconcile \
         unsettle {0} --reason TEXT` withdraws a mistake"
    )]
    Settled(OrderId),
    /// The text is not the id of a customer.
    #[error("{0} is no customer: give the `sub` of their tokens, a UUID, or their address")]
    NoCustomerId(String),
    /// The order's row was not written by a transition.
    #[error(
        "order {0} has no history, so there is no event to publish: find out what wrote its row"
    )]
    NoHistory(OrderId),
    /// No dead-letter queue has that name.
    #[error("there is no dead-letter queue {queue}; choose one of {known}")]
    NoQueue {
        /// The name that was asked for.
        queue: String,
        /// All names.
        known: String,
    },
    /// No rule of the bus has that name.
    #[error("there is no rule for the queue {rule}; choose one of {known}")]
    NoRule {
        /// The name that was asked for.
        rule: String,
        /// All names.
        known: String,
    },
    /// No mapping takes from a queue of that name.
    #[error("there is no mapping for the queue {queue}; choose one of {known}")]
    NoMapping {
        /// The name that was asked for.
        queue: String,
        /// All names.
        known: String,
    },
    /// A mapping of the template is gone.
    #[error("the mapping {0} was deleted: deploy the template again, which creates it")]
    MappingDeleted(String),
    /// The user pool knows nobody with that address.
    #[error(
        "the user pool has no account with this address: give the customer's id, the `sub` of \
         their tokens"
    )]
    NoAddress,
    /// An order could not be erased.
    #[error("an order could not be changed: run the command again")]
    Trigger(#[from] TriggerError),
    /// A span of time ends before it begins.
    #[error("--from must be before --to")]
    NoTime,
    /// A replay did not deliver everything.
    #[error(
        "the replay {replay} is {state} before its end: {reason}. Repeat the command, since \
         delivering an event twice does no harm"
    )]
    ReplayEnded {
        replay: String,
        state: String,
        /// EventBridge's words.
        reason: String,
    },
    /// The queue has no such message.
    #[error(
        "there is no message {message} in the dead-letter queue {queue}: `cargo ops dlq show \
         {queue}` has the ids"
    )]
    NoLetter { message: String, queue: String },
    /// No difference has that key or is about that order.
    #[error(
        "there is no difference {0}: `cargo ops reconcile` prints each with its key and its order"
    )]
    NoDifference(String),
    /// Everything of that name is settled.
    #[error(
        "{what} is settled already: {entry}. If that was a mistake, withdraw it first: `cargo ops \
         reconcile unsettle {what} --reason TEXT`"
    )]
    SettledAlready {
        /// The order or the key.
        what: String,
        /// The entry of the journal.
        entry: String,
    },
    /// No settlement has that key or is about that order.
    #[error(
        "nothing is settled about {0}: `cargo ops journal --since 90d` lists what is, each with \
         its key and its order"
    )]
    NotSettled(String),
    /// Money is on its way back, so that paying it back in another way would pay it twice.
    #[error(
        "the money of order {order} is still being given back, and may be until {}: nobody must \
         pay it back by hand before, since the provider may be paying it right now and the \
         customer would get it twice. Run `cargo ops reconcile` after that: if it is still owed, \
         it is listed with what to do",
        moment(*until)
    )]
    RefundUnderWay { order: OrderId, until: Timestamp },
    /// The same, and the provider decides how long it takes.
    #[error(
        "the provider has taken the refund of order {0} and not finished it, which may last for \
         days: nobody must pay it back by hand, since the customer would get it twice. If it \
         fails, `cargo ops reconcile` lists the order with what to do"
    )]
    RefundAtBank(OrderId),
    /// The bank decides who gets the money.
    #[error(
        "the customer of order {0} disputes the payment: nobody must give it back before the bank \
         has decided, since they would get it twice. Answer the dispute in the provider's dashboard"
    )]
    Disputed(OrderId),
    /// The text is no amount of money.
    #[error("--amount is not an amount of money")]
    Amount(#[from] InvalidAmount),
    /// An order gives back at most what is left of what was paid.
    #[error(
        "order {order} is {} and {left} of it can be given back, not {amount}{}",
        name(status),
        if left.amount > 0 {
            ""
        } else {
            ": only a paid order that goes on can be refunded by hand; one that has ended gives \
             all back by itself"
        }
    )]
    NotRefundable { order: OrderId, status: Status, amount: Money, left: Money },
    /// An order is cancelled before its customer has it.
    #[error(
        "order {order} is {} and cannot be cancelled: {}",
        name(status),
        if status.ended_early() {
            "what the customer has paid goes back by itself".to_owned()
        } else {
            format!(
                "what a customer has collected, or should have collected a week ago, is only \
                 refunded, with `cargo ops order {order} refund`"
            )
        }
    )]
    NotCancellable { order: OrderId, status: Status },
    /// The row of an order stays small.
    #[error(
        "order {0} has {MAX_REFUNDS} refunds, and takes no more: refund in the provider's \
         dashboard, and settle the difference that `cargo ops reconcile` then prints"
    )]
    TooManyRefunds(OrderId),
    /// What failed was made in the provider's dashboard.
    #[error(
        "the provider has given back all that order {0} owes since its refund failed: trying again \
         would give it back twice"
    )]
    RefundedByHand(OrderId),
    /// The same refund twice is usually a mistake.
    #[error(
        "order {order} has refund {refund} of the same amount for the same reason: to give it back \
         once more, add --again"
    )]
    RefundRepeated { order: OrderId, refund: u32 },
    /// The bus refused an event.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A result cannot be written as JSON.
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Standard output was closed, as `head` does when it has enough.
    #[error("standard output was closed")]
    OutputClosed,
    /// Standard output cannot be written to.
    #[error("writing to standard output: {0}")]
    Output(std::io::Error),
}
