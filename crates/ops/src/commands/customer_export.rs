//! `customer ID export`: everything that is stored about a customer.

use books::{
    UnreadableRow,
    rows::{NoticeRow, PaymentRow},
};
use serde::Serialize;
use shop::{order::Order, stock::Reservation};
use stack::Deployment;

use crate::{
    customers::{Account, Customers, orders_of},
    error::Error,
    output::{count, line, moment, name, table},
    sources,
    verdict::Verdict,
};

/// Everything that is stored about a customer.
#[derive(Serialize)]
struct Export {
    account: Option<Account>,
    orders: Vec<OrderRows>,
    /// Rows that this version cannot read.
    unreadable: Vec<UnreadableRow>,
}

/// The rows of an order in all tables.
#[derive(Serialize)]
struct OrderRows {
    order: Order,
    payment: Option<PaymentRow>,
    reservation: Option<Reservation>,
    notice: Option<NoticeRow>,
}

pub(super) async fn run(
    deployment: &Deployment,
    id: &str,
    as_json: bool,
) -> Result<Verdict, Error> {
    let (customer, account) = match Customers::of(deployment)?.find(id).await {
        Ok((customer, account)) => (Some(customer), account),
        Err(Error::NoAddress) => (None, None),
        Err(error) => return Err(error),
    };
    let mut export = Export { account, orders: vec![], unreadable: vec![] };
    if let Some(customer) = customer {
        let tables = sources::tables(deployment)?;
        for order in orders_of(deployment, &customer).await? {
            let id = order.order_id;
            let unreadable = &mut export.unreadable;
            let rows = OrderRows {
                payment: sources::readable(tables.payment(id).await, unreadable)?,
                reservation: sources::readable(tables.reservation(id).await, unreadable)?,
                notice: sources::readable(tables.notice(id).await, unreadable)?,
                order,
            };
            export.orders.push(rows);
        }
    }
    if as_json {
        line(serde_json::to_string_pretty(&export)?)?
    } else {
        print(&export)?
    }
    Ok(Verdict::healthy_if(export.unreadable.is_empty()))
}

fn print(export: &Export) -> Result<(), Error> {
    let Export { account, orders, unreadable } = export;
    if account.is_none() && orders.is_empty() {
        return line(
            "nothing is stored about this customer: there is no account and no order under this id",
        );
    }
    match account {
        None => line("there is no account")?,
        Some(account) => {
            line(format!("account {}", account.id.as_str()))?;
            let mut facts: Vec<_> = account.attributes.clone().into_iter().collect();
            facts.push(("created".to_owned(), moment(account.created)));
            facts.push(("changed".to_owned(), moment(account.changed)));
            facts.push(("can sign in".to_owned(), account.enabled.to_string()));
            table(
                &facts
                    .into_iter()
                    .map(|(name, fact)| [format!("  {name}"), fact])
                    .collect::<Vec<_>>(),
            )?;
        }
    }
    for rows in orders {
        line(format!("order {}", rows.order.order_id))?;
        table(&facts(rows).map(|(name, fact)| [format!("  {name}"), fact]))?;
    }
    line(count(orders.len(), "order"))?;
    unreadable.iter().try_for_each(line)
}

/// What is stored about an order, in words. `--json` has every field.
fn facts(
    OrderRows { order, payment, reservation, notice }: &OrderRows,
) -> [(&'static str, String); 10] {
    let none = || "none".to_owned();
    let items = order.lines.iter().map(|line| format!("{} × {}", line.quantity, line.name));
    let note = order.note.clone().map(String::from);
    let method = order.payment_method.as_ref().map(|method| method.expose().to_owned());
    let paid = payment.as_ref().map(|row| {
        let intent =
            row.payment.intent().map_or_else(String::new, |it| format!(", {}", it.as_str()));
        format!("{}, {}{intent}", row.payment.name(), row.price)
    });
    [
        ("state", format!("{}, payment {}", name(order.status), name(order.payment))),
        ("placed", moment(order.placed_at)),
        ("pickup", format!("{} at {}", moment(order.pickup_at), order.location_name)),
        ("items", items.collect::<Vec<_>>().join(", ")),
        ("price", order.price().to_string()),
        ("note", note.unwrap_or_else(none)),
        ("payment method", method.unwrap_or_else(none)),
        ("payment", paid.unwrap_or_else(none)),
        ("stock", reservation.as_ref().map_or_else(none, |it| it.name().to_owned())),
        (
            "last notice",
            notice.as_ref().map_or_else(none, |it| format!("for revision {}", it.revision)),
        ),
    ]
}
