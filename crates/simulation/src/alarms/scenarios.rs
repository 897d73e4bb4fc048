//! Which fault each alarm is for.

use jiff::SignedDuration;

use crate::engine::calls::{Port, Trouble};

/// A fault, and the alarm that it has to fire.
#[derive(Debug)]
pub struct Scenario {
    /// The alarm's logical id.
    pub alarm: &'static str,
    /// What goes wrong.
    pub title: &'static str,
    /// Whether the simulation only feeds the figures that AWS would publish.
    pub is_fed: bool,
    /// The time from the fault to its first sign, which lies in the nature of the fault.
    pub sign: SignedDuration,
    /// How long the fault lasts.
    pub length: SignedDuration,
    pub(super) fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// A port is in trouble.
    Trouble(Port, Trouble),
    /// The same, while orders come ten times as fast.
    Rush(Port, Trouble),
    /// Other functions use up half of the concurrency.
    Shortage,
    /// No function takes messages of a queue.
    Unread(&'static str),
    /// A message that no function can read. At the end, an operator deletes it.
    Poison(&'static str),
    /// A row of the Orders table that the relay cannot read.
    UnreadableRow,
    /// Nobody orders.
    NoCustomers,
    /// One of so many customers pays with this card; those whose refund fails cancel.
    Card(&'static str, i32),
    /// The API refuses requests.
    TooManyRequests,
    /// A rule cannot put events into its queue.
    Undelivered,
    /// A rate that SES holds against the account.
    Reputation(&'static str, f64),
    /// The comparison of the books finds differences.
    Differences,
    /// The books are not compared.
    SilentBooks,
}

const AT_ONCE: SignedDuration = SignedDuration::ZERO;

/// The depth of a queue that was idle, from the first letter on.
const IDLE: SignedDuration = SignedDuration::from_mins(15);

const fn scenario(alarm: &'static str, title: &'static str, fault: Fault) -> Scenario {
    let is_fed = matches!(
        fault,
        Fault::TooManyRequests
            | Fault::Undelivered
            | Fault::Reputation(..)
            | Fault::Differences
            | Fault::SilentBooks
    );
    let length = SignedDuration::from_mins(10);
    Scenario { alarm, title, is_fed, sign: AT_ONCE, length, fault }
}

impl Scenario {
    const fn signs_after(self, sign: SignedDuration) -> Self {
        Self { sign, ..self }
    }

    const fn lasts(self, length: SignedDuration) -> Self {
        Self { length, ..self }
    }
}

/// Scenarios for all alarms of the template.
pub static SCENARIOS: [Scenario; 26] = [
    scenario(
        "ApiErrors",
        "the Orders table does not answer",
        Fault::Trouble(Port::Orders, Trouble::Fails),
    ),
    scenario(
        "HttpErrors",
        "order-intake dies when it reads a menu",
        Fault::Trouble(Port::Menus, Trouble::Kills),
    ),
    scenario(
        "ApiSlow",
        "the Orders table takes two seconds, in a rush",
        Fault::Rush(Port::Orders, Trouble::Delays(SignedDuration::from_secs(2))),
    ),
    scenario("ApiThrottled", "the API refuses 40 requests a minute", Fault::TooManyRequests),
    scenario("NoOrders", "no request reaches the API", Fault::NoCustomers)
        .signs_after(SignedDuration::from_mins(4)),
    scenario(
        "FunctionErrors",
        "notifications dies when it sends a mail",
        Fault::Trouble(Port::Mailer, Trouble::Kills),
    ),
    scenario("Throttles", "half of all invocations find no room", Fault::Shortage)
        .lasts(SignedDuration::from_mins(2)),
    scenario("StreamBehind", "the bus takes no events", Fault::Trouble(Port::Bus, Trouble::Fails))
        .signs_after(SignedDuration::from_secs(30)),
    scenario(
        "OrdersWaiting",
        "the mapping of the stock queue is disabled",
        Fault::Unread("StockQueue"),
    )
    .signs_after(SignedDuration::from_secs(60)),
    scenario(
        "OthersWaiting",
        "the mapping of the notice queue is disabled",
        Fault::Unread("NoticeQueue"),
    )
    .signs_after(SignedDuration::from_secs(120)),
    scenario("RecordsFailing", "SES takes no mail", Fault::Trouble(Port::Mailer, Trouble::Fails)),
    scenario("DeadLettered", "a message that no function can read", Fault::Poison("ResultsQueue"))
        .lasts(SignedDuration::from_mins(1)),
    scenario("DeadLettered", "a row that order-relay cannot read", Fault::UnreadableRow)
        .lasts(SignedDuration::from_mins(1)),
    scenario("Undelivered", "a rule cannot put an event into its queue", Fault::Undelivered)
        .lasts(SignedDuration::from_mins(1))
        .signs_after(IDLE),
    scenario("DeadOrders", "an unreadable message in the stock queue", Fault::Poison("StockQueue"))
        .lasts(SignedDuration::from_mins(30))
        .signs_after(IDLE),
    scenario(
        "DeadRefunds",
        "an unreadable message in the refund queue",
        Fault::Poison("RefundQueue"),
    )
    .lasts(SignedDuration::from_mins(30))
    .signs_after(IDLE),
    scenario(
        "DeadOthers",
        "an unreadable message in the notice queue",
        Fault::Poison("NoticeQueue"),
    )
    .lasts(SignedDuration::from_mins(30))
    .signs_after(IDLE),
    scenario(
        "TablesThrottled",
        "the Stock table throttles every call",
        Fault::Trouble(Port::Stock, Trouble::Fails),
    ),
    scenario(
        "Unconfirmed",
        "the payment provider is down",
        Fault::Trouble(Port::Provider, Trouble::Fails),
    ),
    scenario(
        "Expired",
        "the payment provider is down for 20 minutes",
        Fault::Trouble(Port::Provider, Trouble::Fails),
    )
    .lasts(SignedDuration::from_mins(20))
    .signs_after(SignedDuration::from_mins(15)),
    scenario(
        "Declined",
        "a third of the cards is declined",
        Fault::Card("pm_card_chargeDeclined", 3),
    )
    .signs_after(SignedDuration::from_mins(12))
    .lasts(SignedDuration::from_mins(40)),
    scenario(
        "RefundFailed",
        "a customer cancels, and the card takes nothing back",
        Fault::Card("pm_card_refundFail", 1),
    )
    .lasts(SignedDuration::from_secs(10))
    .signs_after(SignedDuration::from_mins(1)),
    scenario("BooksDiffer", "the scheduled comparison finds two differences", Fault::Differences)
        .lasts(SignedDuration::from_mins(240))
        .signs_after(SignedDuration::from_mins(100)),
    scenario("BooksSilent", "nothing compares the books", Fault::SilentBooks)
        .lasts(SignedDuration::from_mins(600))
        .signs_after(SignedDuration::from_mins(520)),
    scenario(
        "Bounces",
        "six percent of the mails bounce",
        Fault::Reputation("Reputation.BounceRate", 0.06),
    )
    .lasts(SignedDuration::from_mins(30)),
    scenario(
        "Complaints",
        "one in 500 customers complains",
        Fault::Reputation("Reputation.ComplaintRate", 0.002),
    )
    .lasts(SignedDuration::from_mins(30)),
];
