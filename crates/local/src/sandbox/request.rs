//! Requests: Stripe's form-encoded parameters, validated as Stripe validates them.
//!
//! Unknown parameters are refused, not ignored.

use std::{collections::BTreeMap, ops::RangeInclusive};

use axum::http::Method;

use super::{
    currencies,
    faults::Route,
    ledger::{Confirmation, ConfirmationMethod, NewIntent, NewRefund},
    wire::{ApiError, Page},
};

/// A valid request.
#[derive(Debug)]
pub(super) enum Operation {
    Create {
        new: NewIntent,
        confirmation: Option<Confirmation>,
    },
    Retrieve {
        intent: String,
    },
    Confirm {
        intent: String,
        confirmation: Confirmation,
    },
    Cancel {
        intent: String,
        reason: Option<String>,
    },
    List {
        page: Page,
    },
    Refund {
        intent: String,
        new: NewRefund,
    },
    ListRefunds {
        intent: Option<String>,
        page: Page,
    },
    RetrieveDispute {
        dispute: String,
    },
    /// `None` gives it up.
    AnswerDispute {
        dispute: String,
        evidence: Option<String>,
    },
    ListDisputes {
        intent: Option<String>,
        page: Page,
    },
}

impl Operation {
    /// Parses a request. `encoded` is the query of a GET request, or the body of a POST request.
    pub(super) fn parse(method: &Method, path: &str, encoded: &[u8]) -> Result<Self, ApiError> {
        let mut params = Params::parse(encoded);
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let operation = match (method.as_str(), segments.as_slice()) {
            ("POST", ["v1", "payment_intents"]) => params.create()?,
            ("GET", ["v1", "payment_intents"]) => Self::List { page: params.take_page()? },
            ("GET", ["v1", "payment_intents", id]) => Self::Retrieve { intent: (*id).into() },
            ("POST", ["v1", "payment_intents", id, "confirm"]) => {
                Self::Confirm { intent: (*id).into(), confirmation: params.confirmation()? }
            }
            ("POST", ["v1", "payment_intents", id, "cancel"]) => {
                Self::Cancel { intent: (*id).into(), reason: params.take("cancellation_reason")? }
            }
            ("POST", ["v1", "refunds"]) => Self::Refund {
                intent: params.require("payment_intent")?,
                new: NewRefund {
                    amount: params.take_amount("amount")?,
                    reason: params.take("reason")?,
                    metadata: params.take_map("metadata"),
                },
            },
            ("GET", ["v1", "refunds"]) => Self::ListRefunds {
                intent: params.take("payment_intent")?,
                page: params.take_page()?,
            },
            ("GET", ["v1", "disputes"]) => Self::ListDisputes {
                intent: params.take("payment_intent")?,
                page: params.take_page()?,
            },
            ("GET", ["v1", "disputes", id]) => Self::RetrieveDispute { dispute: (*id).into() },
            ("POST", ["v1", "disputes", id]) => {
                let evidence = params.take_map("evidence").remove("uncategorized_text");
                // Evidence is sent to the bank at once.
                params.take_bool("submit")?;
                let evidence = Some(evidence.unwrap_or_default());
                Self::AnswerDispute { dispute: (*id).into(), evidence }
            }
            ("POST", ["v1", "disputes", id, "close"]) => {
                Self::AnswerDispute { dispute: (*id).into(), evidence: None }
            }
            _ => return Err(ApiError::unknown_route(method, path)),
        };
        params.finish()?;
        Ok(operation)
    }

    /// Whether a customer's browser may send it, which proves itself by the client secret.
    pub(super) const fn is_for_customers(&self) -> bool {
        matches!(self, Self::Confirm { confirmation, .. } if confirmation.client_secret.is_some())
    }

    pub(super) fn route(&self) -> Route {
        match self {
            Self::Create { .. } => Route::Create,
            Self::Retrieve { .. } => Route::Retrieve,
            Self::Confirm { .. } => Route::Confirm,
            Self::Cancel { .. } => Route::Cancel,
            Self::List { .. } => Route::List,
            Self::Refund { .. } => Route::Refund,
            Self::ListRefunds { .. } => Route::ListRefunds,
            Self::RetrieveDispute { .. } | Self::AnswerDispute { .. } => Route::Dispute,
            Self::ListDisputes { .. } => Route::ListDisputes,
        }
    }
}

/// Parameters that have not been read yet.
struct Params(Vec<(String, String)>);

impl Params {
    fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    fn create(&mut self) -> Result<Operation, ApiError> {
        let amount = self.take_amount("amount")?.ok_or_else(|| ApiError::missing("amount"))?;
        let currency = self.require("currency")?.to_lowercase();
        currencies::check(amount, &currency)?;
        let confirm = self.take_bool("confirm")?;
        let confirmation = self.confirmation()?;
        if confirmation.error_on_requires_action && !confirm {
            return Err(ApiError::only_with_confirm("error_on_requires_action"));
        }
        // Without effect, because the sandbox accepts cards only.
        self.take_map("automatic_payment_methods");
        let types = self.take_list("payment_method_types");
        let confirmation_method = self.take_confirmation_method()?;
        let new = NewIntent {
            amount,
            currency,
            payment_method: confirmation.payment_method.clone(),
            payment_method_types: (!types.is_empty()).then_some(types),
            confirmation_method,
            metadata: self.take_map("metadata"),
        };
        Ok(Operation::Create { new, confirmation: confirm.then_some(confirmation) })
    }

    fn confirmation(&mut self) -> Result<Confirmation, ApiError> {
        Ok(Confirmation {
            payment_method: self.take("payment_method")?,
            error_on_requires_action: self.take_bool("error_on_requires_action")?,
            return_url: self.take("return_url")?,
            client_secret: self.take("client_secret")?,
        })
    }

    fn take_confirmation_method(&mut self) -> Result<ConfirmationMethod, ApiError> {
        match self.take("confirmation_method")?.as_deref() {
            None | Some("automatic") => Ok(ConfirmationMethod::Automatic),
            Some("manual") => Ok(ConfirmationMethod::Manual),
            Some(_) => Err(ApiError::not_one_of("confirmation_method", "automatic or manual")),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(at) = self.0.iter().position(|(key, _)| key == name) else {
            return Ok(None);
        };
        match self.0.remove(at).1 {
            empty if empty.is_empty() => Err(ApiError::empty(name)),
            value => Ok(Some(value)),
        }
    }

    fn require(&mut self, name: &str) -> Result<String, ApiError> {
        self.take(name)?.ok_or_else(|| ApiError::missing(name))
    }

    fn take_bool(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(ApiError::not_a_boolean(name, other)),
        }
    }

    fn take_amount(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        match text.parse::<i64>() {
            Ok(amount) if amount >= 1 => Ok(Some(amount.unsigned_abs())),
            Ok(_) => Err(ApiError::below_one(name)),
            Err(_) => Err(ApiError::not_an_integer(name, &text)),
        }
    }

    /// Takes the parameters of a page, which has 1 to 100 results and by default 10.
    fn take_page(&mut self) -> Result<Page, ApiError> {
        let limit = match self.take_amount("limit")? {
            None => 10,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX).min(100),
        };
        Ok(Page {
            limit,
            starting_after: self.take("starting_after")?,
            created: self.take_created()?,
        })
    }

    /// Takes the times of creation to list, in seconds: `created=1`, `created[gte]=1` and others.
    fn take_created(&mut self) -> Result<RangeInclusive<i64>, ApiError> {
        if let Some(at) = self.take_time("created")? {
            return Ok(at..=at);
        }
        let [gt, gte, lt, lte] = [
            self.take_time("created[gt]")?.map(|at| at.saturating_add(1)),
            self.take_time("created[gte]")?,
            self.take_time("created[lt]")?.map(|at| at.saturating_sub(1)),
            self.take_time("created[lte]")?,
        ];
        let (first, last) = (gt.max(gte), lt.into_iter().chain(lte).min());
        Ok(first.unwrap_or(i64::MIN)..=last.unwrap_or(i64::MAX))
    }

    fn take_time(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let time = self.take(name)?;
        time.map(|text| text.parse().map_err(|_| ApiError::not_an_integer(name, &text))).transpose()
    }

    /// Takes a map: `name[a]=1&name[b]=2`.
    fn take_map(&mut self, name: &str) -> BTreeMap<String, String> {
        self.take_bracketed(name).into_iter().collect()
    }

    /// Takes a list: `name[]=1&name[]=2` or `name[0]=1&name[1]=2`.
    fn take_list(&mut self, name: &str) -> Vec<String> {
        self.take_bracketed(name).into_iter().map(|(_, value)| value).collect()
    }

    fn take_bracketed(&mut self, name: &str) -> Vec<(String, String)> {
        let inner = |key: &str| {
            let inner = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some(inner.to_owned())
        };
        self.0
            .extract_if(.., |(key, _)| inner(key).is_some())
            .filter_map(|(key, value)| Some((inner(&key)?, value)))
            .collect()
    }

    fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::unknown_parameter(&name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(form: &str) -> Result<Operation, ApiError> {
        Operation::parse(&Method::POST, "/v1/payment_intents", form.as_bytes())
    }

    fn code(form: &str) -> Option<&'static str> {
        create(form).unwrap_err().code
    }

    #[test]
    fn nested_keys_are_parsed_as_maps_and_lists() {
        let form = "amount=580&currency=EUR&payment_method=pm_card_visa&metadata%5Border_id%5D=o-1\
                    &payment_method_types[]=card&automatic_payment_methods[enabled]=true";
        let Operation::Create { new, confirmation: None } = create(form).unwrap() else {
            panic!("not an unconfirmed intent");
        };
        assert_eq!((new.amount, new.currency.as_str()), (580, "eur"));
        assert_eq!(new.metadata["order_id"], "o-1");
        assert_eq!(new.payment_method_types, Some(vec!["card".to_owned()]));
    }

    #[test]
    fn each_invalid_parameter_is_refused_with_its_code() {
        assert_eq!(code("currency=eur"), Some("parameter_missing"));
        assert_eq!(code("amount=580"), Some("parameter_missing"));
        assert_eq!(code("amount=5.80&currency=eur"), Some("parameter_invalid_integer"));
        assert_eq!(code("amount=-1&currency=eur"), Some("parameter_invalid_integer"));
        assert_eq!(code("amount=&currency=eur"), Some("parameter_invalid_empty"));
        assert_eq!(code("amount=49&currency=eur"), Some("amount_too_small"));
        assert_eq!(code("amount=580&currency=eur&capture=now"), Some("parameter_unknown"));
    }

    #[test]
    fn a_list_may_be_limited_to_times_of_creation() {
        let created = |query: &str| {
            let list = Operation::parse(&Method::GET, "/v1/payment_intents", query.as_bytes());
            match list.map_err(|error| error.code) {
                Ok(Operation::List { page }) => Ok(page.created),
                other => Err(other.unwrap_err()),
            }
        };
        assert_eq!(created(""), Ok(i64::MIN..=i64::MAX));
        assert_eq!(created("created=7"), Ok(7..=7));
        assert_eq!(created("created%5Bgte%5D=7&created[lt]=9"), Ok(7..=8));
        assert_eq!(created("created[gt]=7&created[lte]=9"), Ok(8..=9));
        assert_eq!(created("created[gte]=today"), Err(Some("parameter_invalid_integer")));
        assert_eq!(created("created[from]=7"), Err(Some("parameter_unknown")));
    }
}
