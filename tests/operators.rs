//! `cargo ops` at night: what is wrong, since when, and what to do.

use jiff::{Timestamp, tz::TimeZone};
use local::sandbox::{Fault, FaultyAnswer, Route};

use crate::harness::{Customer, Output, System, croissants, eventually, paid_with};

/// The columns of a line.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

/// Waits until a command prints a line with a text, and returns what it has printed.
async fn until_shown(system: &System, arguments: &[&str], text: &str) -> Output {
    eventually(&format!("{text} in {arguments:?}"), async || {
        let output = system.ops(arguments).await;
        (!output.lines(text).is_empty()).then_some(output)
    })
    .await
}

#[tokio::test]
async fn orders_and_stock_are_listed_locally_and_by_name() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let shop = system.shop().await;
    let location = shop.menu.location.as_str();
    let confirmed = camille.place(&croissants(&shop, 2)).await;
    let order = camille.confirmed(&confirmed).await;
    let declined = camille.place(&paid_with("pm_card_chargeDeclined", croissants(&shop, 3))).await;
    camille.outcome(&declined).await;

    for orders in [
        system.ops(&["orders", "--since", "10m", "--location", location]).await,
        system.ops_by_name(&["orders", "--since", "10m", "--location", location]).await,
    ] {
        let rows: Vec<_> = orders.lines(location).into_iter().map(columns).collect();
        assert_eq!(rows.len(), 2, "{orders:?}");
        assert_eq!(rows[0][..4], [&*declined, "rejected", "none", location]);
        assert_eq!(rows[1][..4], [&*confirmed, "confirmed", "captured", location]);
        assert_eq!(rows[1][5], "3.80 EUR");
    }
    let rejected = ["orders", "--since", "10m", "--location", location, "--status", "rejected"];
    let rejected = system.ops(&rejected).await;
    assert!(rejected.lines(&confirmed).is_empty() && rejected.lines(&declined).len() == 1);
    let later = Timestamp::now().to_string();
    let none = system.ops(&["orders", "--since", &later, "--location", location]).await;
    assert_eq!(none.lines("0 orders since").len(), 1, "{none:?}");
    let wrong = system.ops(&["orders", "--since", "soon"]).await;
    assert!(wrong.status == 2 && wrong.errors.contains("such as 10m, 2h or 3d"), "{wrong:?}");

    let pickup: Timestamp = order["pickup_at"].as_str().unwrap().parse().unwrap();
    let day = pickup.to_zoned(TimeZone::get("Europe/Paris").unwrap()).date().to_string();
    let released = async || {
        let stock = system.ops(&["stock", location, &day, "--orders"]).await;
        let croissants = columns(stock.lines("croissant ")[0]).join(" ");
        (croissants == "croissant 10000 2 9998").then_some(stock)
    };
    let stock = eventually("the stock of the declined order to be released", released).await;
    assert_eq!(stock.lines(&format!("{confirmed}  2")).len(), 1, "{stock:?}");
    assert!(stock.status == 0 && stock.lines(&declined).is_empty(), "{stock:?}");
    let nowhere = system.ops(&["stock", "nowhere", &day]).await;
    assert!(nowhere.status == 2 && nowhere.errors.contains("no shop nowhere"), "{nowhere:?}");
}

/// An order that was cancelled, and whose money the provider could not give back.
async fn failed_refund(camille: &Customer<'_>, system: &System) -> String {
    let order = paid_with("pm_card_refundFail", croissants(&system.shop().await, 2));
    let id = camille.place(&order).await;
    camille.confirmed(&id).await;
    assert_eq!(camille.cancel(&id).await.status, 200);
    eventually("the refund to fail", async || {
        (camille.order(&id).await["payment"] == "refund_failed").then_some(())
    })
    .await;
    id
}

#[tokio::test]
async fn a_failed_refund_is_found_explained_retried_and_settled() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = failed_refund(&camille, &system).await;

    let health = system.ops(&["health"]).await;
    let about = health.lines("whose money could not be given back");
    assert!(health.status == 1 && about.len() == 1, "{health:?}");
    assert!(!health.lines("docs/runbook.md#refund-failed").is_empty(), "{health:?}");
    let by_payment = system.ops(&["orders", "--payment", "refund_failed"]).await;
    assert_eq!(by_payment.lines(&id).len(), 1, "{by_payment:?}");
    let others = system.ops(&["orders", "--payment", "refunded"]).await;
    assert!(others.status == 0 && others.lines(&id).is_empty(), "{others:?}");
    let errors = until_shown(&system, &["errors", "--order", &id], &id).await;
    assert!(errors.status == 1 && errors.lines("refund failed").len() == 1, "{errors:?}");
    let logs = ["logs", "payment", "--since", "10m", "--level", "error", "--order", &id];
    assert_eq!(system.ops(&logs).await.lines("refund failed").len(), 1);

    let shown = until_shown(&system, &["order", &id], "problem: order").await;
    assert_eq!(shown.status, 1, "{shown:?}");
    assert_eq!(shown.lines("its refund failed with `").len(), 1, "{shown:?}");
    assert_eq!(shown.lines("do: refund 3.80 EUR in the provider").len(), 1, "{shown:?}");
    assert_eq!(system.ops(&["order", &id, "retry"]).await.status, 0);
    eventually("the provider to be asked again", async || {
        (system.ledger(&id).await[0].refunds.len() >= 2).then_some(())
    })
    .await;

    let open = until_shown(&system, &["reconcile"], &id).await;
    let difference = open.lines(&id)[0];
    assert!(open.status == 1 && difference.contains("has kept 3.80 EUR instead"), "{open:?}");
    let key = difference.split_whitespace().next().unwrap();
    let unknown = system.ops(&["reconcile", "settle", "00000000", "--reason", "a guess"]).await;
    assert!(unknown.status == 2 && unknown.errors.contains("no difference 00000000"));
    let owed = format!("order {id} is over, and the customer is still owed 3.80 EUR");
    let refused = system.ops(&["customer", &camille.id, "erase"]).await;
    assert!(refused.status == 1 && refused.lines(&owed).len() == 1, "{refused:?}");
    let reason = "paid back by bank transfer";
    let settled = system.ops(&["reconcile", "settle", key, "--reason", reason]).await;
    assert_eq!(settled.status, 0, "{settled:?}");
    let after = system.ops(&["reconcile"]).await;
    let [line] = after.lines(&id)[..] else { panic!("{after:?}") };
    assert!(line.starts_with("settled: order") && line.ends_with(reason), "{line}");
    let journal = system.ops_by_name(&["journal"]).await;
    assert!(journal.lines(reason)[0].contains("arn:aws:"), "{journal:?}");
    let shown = system.ops(&["order", &id]).await;
    assert!(shown.status == 0 && shown.text.contains("nothing needs to be done"), "{shown:?}");
    assert!(system.ops(&["health"]).await.lines(&id).is_empty());
    // Nothing keeps the erasure waiting but a token that the customer may have.
    let erase = system.ops(&["customer", &camille.id, "erase"]).await;
    assert_eq!((erase.status, erase.lines("can no longer sign in").len()), (1, 1), "{erase:?}");

    // What was paid back by hand does not go back a second time.
    let retried = system.ops(&["order", &id, "retry"]).await;
    assert!(retried.status == 2 && retried.errors.contains("settled by hand"), "{retried:?}");
    for again in
        [["replay", "--from", "10m", "--dry-run"], ["announce", "--since", "10m", "--dry-run"]]
    {
        let again = system.ops(&again).await;
        assert!(again.lines("left out")[0].contains(&id), "{again:?}");
    }
    let unknown = system.ops(&["customer", "camille", "erase"]).await;
    assert!(unknown.status == 2 && unknown.errors.contains("is no customer"), "{unknown:?}");
}

#[tokio::test]
async fn a_refund_that_is_still_being_tried_cannot_be_settled_and_must_not_be_paid_by_hand() {
    let system = System::shared().await;
    let camille = system.customer().await;
    let id = camille.place(&croissants(&system.shop().await, 2)).await;
    camille.confirmed(&id).await;
    let answer = FaultyAnswer::Fail(503);
    let refused = Fault { route: Some(Route::Refund), answer, ..Fault::default() };
    system.set_fault(&id, refused).await;
    assert_eq!(camille.cancel(&id).await.status, 200);

    let warning = "do not pay it back by hand before 20";
    let pending = format!("pending: order {id} ended early");
    let books = until_shown(&system, &["reconcile"], &pending).await;
    assert!(books.lines(&pending)[0].contains(warning), "{books:?}");
    let shown = until_shown(&system, &["order", &id], "the next try of payment is due").await;
    assert_eq!((shown.status, shown.lines(warning).len()), (0, 1), "{shown:?}");
    let settle = ["reconcile", "settle", &id, "--reason", "paid back by bank transfer"];
    let refused = system.ops(&settle).await;
    assert!(refused.status == 2 && refused.errors.contains("would get it twice"), "{refused:?}");
    assert!(system.ops(&["journal"]).await.lines(&id).is_empty());

    system.provider.clear_faults_of(&id).await.unwrap();
    let refunded = async || (camille.order(&id).await["payment"] == "refunded").then_some(());
    eventually("the refund", refunded).await;
    let over = system.ops(&["order", &id]).await;
    assert!(over.lines("the next try of").is_empty(), "{over:?}");
}

#[tokio::test]
async fn the_books_are_read_although_a_page_of_the_provider_fails() {
    let system = System::shared().await;
    let fault = Fault {
        route: Some(Route::List),
        times: Some(1),
        answer: FaultyAnswer::Fail(500),
        ..Fault::default()
    };
    let id = system.provider.set_fault(&fault).await.unwrap();
    let reconcile = system.ops(&["reconcile"]).await;
    assert!(reconcile.status < 2, "{reconcile:?}");
    assert!(!system.provider.faults().await.unwrap().contains_key(&id), "the fault was not used");
}

#[tokio::test]
async fn without_a_stack_the_error_says_which_option_is_missing() {
    let system = System::shared().await;
    let nowhere = [("AWS_CONFIG_FILE", "/dev/null"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let lost = system.ops_as(&nowhere, &["dlq", "list"]).await;
    assert!(lost.status == 2 && lost.errors.contains("add the option `--local`"), "{lost:?}");
}
