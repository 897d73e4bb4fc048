//! The trace of the request that placed an order, in the format of
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/).

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A `traceparent` of version 00: the ids of a trace and of the span that a request belongs to.
///
/// It travels unchanged in the order's row and in all events about the order, so that all log lines
/// about the order have the same trace id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct TraceParent(String);

/// Why a text is not a `traceparent`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "must be `00-`, 32 hexadecimal digits, `-`, 16 hexadecimal digits, `-` and two more, in lower \
     case, and neither id all zeros"
)]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The trace of an `X-Amzn-Trace-Id` header, which API Gateway adds to every request: its root
    /// is the trace, and its parent the span.
    ///
    /// The header of a request that nobody traces has no parent. Then the span is the last half of
    /// the trace id, because a span id must not be zero.
    #[must_use]
    pub fn from_amazon(header: &str) -> Option<Self> {
        let field = |name| {
            let mut fields = header.split(';').filter_map(|field| field.split_once('='));
            fields.find_map(|(key, value)| (key.trim() == name).then_some(value.trim()))
        };
        let (time, random) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let trace = format!("{time}{random}");
        let span = field("Parent").or_else(|| trace.get(16..))?;
        let sampled = u8::from(field("Sampled") == Some("1"));
        format!("00-{trace}-{span}-{sampled:02x}").parse().ok()
    }

    /// The 32 hexadecimal digits of the trace's id.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;

    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|c| c != b'0');
        let parts: Vec<_> = text.split('-').collect();
        match parts[..] {
            ["00", trace, span, flags]
                if is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2) =>
            {
                Ok(Self(text))
            }
            _ => Err(InvalidTraceParent),
        }
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        text.to_owned().try_into()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "5759e988bd862e3fe1be46a994272793";

    #[test]
    fn a_traceparent_of_version_00_is_read() {
        let text = format!("00-{TRACE}-53995c3f42cd8ad8-01");
        let trace: TraceParent = text.parse().unwrap();
        assert_eq!(trace.trace_id(), TRACE);
        assert_eq!(String::from(trace), text);
    }

    #[test]
    fn anything_else_is_refused() {
        let zeros = "0".repeat(32);
        for text in [
            "",
            "00",
            TRACE,
            &format!("01-{TRACE}-53995c3f42cd8ad8-01"),
            &format!("00-{}-53995c3f42cd8ad8-01", TRACE.to_uppercase()),
            &format!("00-{zeros}-53995c3f42cd8ad8-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{TRACE}-53995c3f42cd8ad8-1"),
            &format!("00-{TRACE}-53995c3f42cd8ad8-01-what"),
            &format!("00-{TRACE}-53995c3f42cd8ad8-é"),
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }

    #[test]
    fn the_header_of_api_gateway_becomes_a_traceparent() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        for (header, expected) in [
            (
                format!("{root};Parent=53995c3f42cd8ad8;Sampled=1"),
                format!("00-{TRACE}-53995c3f42cd8ad8-01"),
            ),
            (
                format!("Self=1-67891234-12456789abcdef012345678;{root}"),
                format!("00-{TRACE}-e1be46a994272793-00"),
            ),
        ] {
            assert_eq!(TraceParent::from_amazon(&header).map(String::from), Some(expected));
        }
        for header in ["", "Root=1-5759e988", "Root=2-5759e988-bd862e3fe1be46a994272793", "Root"] {
            assert_eq!(TraceParent::from_amazon(header), None, "{header}");
        }
    }
}
