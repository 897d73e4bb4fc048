//! Mail through SES.

use std::time::Duration;

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sesv2::{
    Client,
    config::Builder,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::send_email::SendEmailError,
    types::{Body, Content, Destination, EmailContent, Message, MessageTag},
};

use platform::connections::unshared;

use crate::{
    handler::{Address, MailError, Mailer},
    notice::Notice,
};

/// The time limit of a call. SES has no idempotency key, so a call that is abandoned and retried
/// may send the mail twice: the limit is longer than for other services, and still well within the
/// function's timeout of 20 seconds. For the same reason each mail has a connection of its own: one
/// that was kept may have died.
pub const TIME_LIMIT: Duration = Duration::from_secs(8);

/// A mailer that sends through Amazon SES.
#[derive(Clone, Debug)]
pub struct Ses {
    client: Client,
    sender: String,
    configuration_set: String,
}

impl Ses {
    /// Sends as `sender`, whose address or domain must be a verified identity in SES. The
    /// configuration set decides what happens to bounces and complaints.
    #[must_use]
    pub fn new(config: &SdkConfig, sender: String, configuration_set: String) -> Self {
        let timeouts =
            config.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts =
            timeouts.operation_attempt_timeout(TIME_LIMIT).operation_timeout(TIME_LIMIT).build();
        let config = Builder::from(config).timeout_config(timeouts).http_client(unshared());
        Self { client: Client::from_conf(config.build()), sender, configuration_set }
    }
}

impl Mailer for Ses {
    async fn send(&self, to: &Address, notice: &Notice) -> Result<(), MailError> {
        let malformed = |error: BuildError| MailError::Malformed(error.to_string());
        let content =
            |text: &str| Content::builder().data(text).charset("UTF-8").build().map_err(malformed);
        let message = Message::builder()
            .subject(content(&notice.subject)?)
            .body(Body::builder().text(content(&notice.text)?).build())
            .build();
        // With this tag, bounces and complaints can be traced to the order without the address.
        let tag = MessageTag::builder()
            .name("order_id")
            .value(notice.order.to_string())
            .build()
            .map_err(malformed)?;
        self.client
            .send_email()
            .from_email_address(&self.sender)
            .destination(Destination::builder().to_addresses(to.expose()).build())
            .content(EmailContent::builder().simple(message).build())
            .email_tags(tag)
            .configuration_set_name(&self.configuration_set)
            .send()
            .await
            .map(drop)
            .map_err(|error| failure(&error))
    }
}

/// The error by its code alone: the message may name the recipient.
fn failure<R>(error: &SdkError<SendEmailError, R>) -> MailError {
    let code = error.code().map_or_else(|| error.to_string(), str::to_owned);
    match error.as_service_error() {
        Some(SendEmailError::BadRequestException(_)) => MailError::Malformed(code),
        _ => MailError::NotTaken(code),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sesv2::{
        error::ErrorMetadata,
        types::error::{
            AccountSuspendedException, BadRequestException, LimitExceededException,
            MailFromDomainNotVerifiedException, MessageRejected, SendingPausedException,
            TooManyRequestsException,
        },
    };
    use platform::queue::Retryable;

    use super::*;
    use crate::handler::NotificationsError;

    #[test]
    fn a_notice_waits_while_ses_is_above_its_rate_or_its_quota_of_the_day() {
        let error =
            |code: &str, text: &str| ErrorMetadata::builder().code(code).message(text).build();
        let rate = |code| error(code, "Maximum sending rate exceeded.");
        let day = |code| error(code, "Daily message quota exceeded.");
        let failures = [
            SendEmailError::TooManyRequestsException(
                TooManyRequestsException::builder().meta(rate("TooManyRequestsException")).build(),
            ),
            SendEmailError::LimitExceededException(
                LimitExceededException::builder().meta(day("LimitExceededException")).build(),
            ),
            // Codes that SES documents for all of its actions, or sends without documenting them.
            SendEmailError::generic(rate("Throttling")),
            SendEmailError::generic(day("ThrottlingException")),
            SendEmailError::SendingPausedException(SendingPausedException::builder().build()),
            SendEmailError::AccountSuspendedException(AccountSuspendedException::builder().build()),
            SendEmailError::MailFromDomainNotVerifiedException(
                MailFromDomainNotVerifiedException::builder().build(),
            ),
            SendEmailError::MessageRejected(MessageRejected::builder().build()),
        ];
        for error in failures {
            let failure = failure(&SdkError::service_error(error, ()));
            assert!(NotificationsError::from(failure).is_transient());
        }
    }

    #[test]
    fn an_error_does_not_hold_the_recipients_address() {
        let message = "Email address is not verified. The following identities failed the check: \
                       camille@example.com";
        let meta = ErrorMetadata::builder().code("MessageRejected").message(message).build();
        let rejected = MessageRejected::builder().message(message).meta(meta).build();
        let failure =
            failure(&SdkError::service_error(SendEmailError::MessageRejected(rejected), ()));
        assert!(failure.to_string().contains("MessageRejected"));
        assert!(!format!("{failure} {failure:?}").contains("camille"));
    }

    #[test]
    fn a_bad_request_is_malformed_and_any_other_error_is_retried() {
        let failure = |error| failure(&SdkError::service_error(error, ()));
        let malformed = SendEmailError::BadRequestException(BadRequestException::builder().build());
        let rejected = SendEmailError::MessageRejected(MessageRejected::builder().build());
        assert!(matches!(failure(malformed), MailError::Malformed(_)));
        assert!(matches!(failure(rejected), MailError::NotTaken(_)));
    }
}
