use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use fixtures::{ORDER, order, order_event, stream_record};
use serde_json::{Value, json};
use shop::order::OrderEventType;

use super::*;

const CHARGE_ARN: &str = "arn:aws:sqs:eu-central-1:000000000000:amelie-charge";
const CHARGE_URL: &str = "http://sqs/amelie-charge";

fn letter(body: &Value, attributes: &[(&str, &str)]) -> DeadLetter {
    let value = |value| {
        MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
    };
    let attributes =
        attributes.iter().map(|(name, text)| ((*name).to_owned(), value(*text))).collect();
    let message = Message::builder().body(body.to_string());
    DeadLetter::of(message.set_message_attributes(Some(attributes)).build(), Some(16))
}

fn remedy(source: Option<&str>, letter: &DeadLetter) -> Remedy {
    Remedy::of(letter, source, &BTreeMap::from([(CHARGE_ARN.to_owned(), CHARGE_URL.to_owned())]))
}

fn event() -> Value {
    serde_json::to_value(order_event(OrderEventType::Reserved)).unwrap()
}

/// What Lambda sends to an on-failure destination, from its documentation.
fn gap() -> Value {
    json!({
        "requestContext": {
            "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
            "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:relay",
            "condition": "RecordAgeExceeded",
            "approximateInvokeCount": 1
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled"
        },
        "version": "1.0",
        "timestamp": "2026-11-14T00:13:19.717Z",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001573689847184-864758bb",
            "startSequenceNumber": "800000000003126276362",
            "endSequenceNumber": "800000000003126276363",
            "approximateArrivalOfFirstRecord": "2026-11-14T00:13:19Z",
            "approximateArrivalOfLastRecord": "2026-11-14T00:13:20Z",
            "batchSize": 2,
            "streamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/1"
        }
    })
}

#[test]
fn a_letter_is_about_the_order_that_it_names_whatever_its_form() {
    let order = |body: &str| {
        let message = Message::builder().body(body).build();
        DeadLetter::of(message, Some(16)).order().map(str::to_owned)
    };
    let event = event().to_string();
    let until_data = &event[..event.find(ORDER).unwrap() + ORDER.len()];
    let record = stream_record("INSERT", &fixtures::order());
    let mut without_keys = record;
    without_keys["dynamodb"]["Keys"] = Value::Null;
    for named in [
        until_data.to_owned(),
        without_keys.to_string(),
        json!({"detail-type": "order.reserved", "detail": {"order_id": ORDER}}).to_string(),
        json!({"order": {"order_id": ORDER}}).to_string(),
    ] {
        assert_eq!(order(&named).as_deref(), Some(ORDER), "{named}");
    }
    for unnamed in [json!({"id": ORDER}), json!({"order_id": "é".repeat(40)})] {
        assert_eq!(order(&unnamed.to_string()), None);
    }
}

#[test]
fn an_event_is_read_with_its_order() {
    let letter = letter(&event(), &[]);
    assert_eq!(
        letter.content,
        Content::Event { event_type: "order.reserved".into(), order: Some(ORDER.into()) }
    );
    assert_eq!(letter.order(), Some(ORDER));
}

#[test]
fn unknown_content_is_described_by_its_length_only() {
    assert_eq!(Content::parse("pm_card_visa"), Content::Unknown { bytes: 12, order: None });
    assert_eq!(Content::parse("[1]"), Content::Unknown { bytes: 3, order: None });
}

#[test]
fn a_message_goes_back_to_its_queue_unless_nobody_reads_it_there() {
    let remedy = |body: &Value| remedy(Some(CHARGE_URL), &letter(body, &[]));
    for outcome in [
        serde_json::to_value(fixtures::stock_reserved(&order())).unwrap(),
        serde_json::to_value(fixtures::payment_captured(&order())).unwrap(),
        event(),
    ] {
        assert!(matches!(remedy(&outcome), Remedy::Send(url) if url == CHARGE_URL), "{outcome}");
    }
    let mut unknown = event();
    unknown["detail-type"] = json!("order.unknown");
    for poison in [json!("poison"), json!({"detail-type": "order.reserved"}), unknown] {
        assert!(matches!(remedy(&poison), Remedy::Discard(url) if url == CHARGE_URL), "{poison}");
    }
}

#[test]
fn a_letter_knows_after_how_many_receives_it_was_given_up_and_counts_no_looks() {
    let after = |attributes: &[(MessageSystemAttributeName, &str)]| {
        let attributes = attributes.iter().map(|(name, value)| (name.clone(), (*value).to_owned()));
        let message = Message::builder().body("{}").set_attributes(Some(attributes.collect()));
        DeadLetter::of(message.build(), Some(16)).given_up_after
    };
    let looks = (MessageSystemAttributeName::ApproximateReceiveCount, "23");
    let moved = (MessageSystemAttributeName::DeadLetterQueueSourceArn, CHARGE_ARN);
    assert_eq!(after(&[looks.clone(), moved]), Some(16));
    assert_eq!(after(&[looks]), None);
}

#[test]
fn an_event_that_a_rule_could_not_deliver_goes_to_the_target_that_it_names() {
    let refused = letter(
        &event(),
        &[
            ("TARGET_ARN", CHARGE_ARN),
            ("ERROR_CODE", "NO_PERMISSIONS"),
            ("ERROR_MESSAGE", "denied"),
        ],
    );
    assert!(matches!(remedy(None, &refused), Remedy::Send(url) if url == CHARGE_URL));
    assert_eq!(refused.reason().unwrap(), "NO_PERMISSIONS: denied");

    let other = "arn:aws:sqs:eu-central-1:000000000000:another";
    let elsewhere = letter(&event(), &[("TARGET_ARN", other)]);
    assert!(matches!(remedy(None, &elsewhere), Remedy::Unknown));
}

#[test]
fn an_error_code_or_a_message_alone_is_a_reason_too() {
    for attribute in ["ERROR_CODE", "ERROR_MESSAGE"] {
        let refused = letter(&event(), &[(attribute, "denied")]);
        assert_eq!(refused.reason().unwrap(), "denied");
    }
    assert_eq!(letter(&event(), &[]).reason(), None);
}

#[test]
fn a_stream_record_that_can_be_read_by_now_is_published() {
    let record = stream_record("INSERT", &order());
    let letter = letter(&record, &[("reason", "the new image is not an order: much")]);
    let Remedy::Publish(event) = remedy(None, &letter) else { panic!("not published") };
    assert_eq!(event.detail.data.order_id.to_string(), ORDER);
    assert_eq!(letter.reason().unwrap(), "the new image is not an order: much");
}

#[test]
fn a_stream_record_that_still_cannot_be_read_is_kept() {
    let mut record = stream_record("INSERT", &order());
    record["dynamodb"]["NewImage"]["total"] = json!({"S": "much"});
    let letter = letter(&record, &[]);
    assert_eq!(letter.order(), Some(ORDER));
    assert!(matches!(remedy(None, &letter), Remedy::Unreadable(_)));
}

#[test]
fn the_record_of_a_deleted_row_has_no_remedy() {
    let letter = letter(&stream_record("REMOVE", &order()), &[]);
    assert!(matches!(remedy(None, &letter), Remedy::Unknown));
}

#[test]
fn a_gap_in_the_stream_says_when_its_orders_changed() {
    let letter = letter(&gap(), &[]);
    let Remedy::PublishOrdersOf(gap) = remedy(None, &letter) else { panic!("not a gap") };
    assert_eq!((gap.records, gap.to.duration_since(gap.from).as_secs()), (2, 1));
    assert_eq!(letter.reason().unwrap(), "RecordAgeExceeded");
}
