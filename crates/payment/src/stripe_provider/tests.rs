use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex as StdMutex},
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use axum::{Router, extract::State, http::StatusCode};
use local::sandbox;
use platform::queue::Retryable;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

const API_KEY: &str = "sk_test_provider";

/// The answers that Secrets Manager gives in turn: the secret's text, or `None` to deny access.
type Secrets = Arc<StdMutex<VecDeque<Option<&'static str>>>>;

/// A provider whose secret holds these texts in turn, in front of the sandbox.
async fn provider(secrets: &[Option<&'static str>]) -> (StripeProvider, Secrets) {
    let secrets: Secrets = Arc::new(StdMutex::new(secrets.iter().copied().collect()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secrets_url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(get_secret_value).with_state(secrets.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(sandbox::serve(listener, API_KEY.into(), pending()));

    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-central-1"))
        .endpoint_url(secrets_url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    (StripeProvider::new(&config, "provider-key".to_owned(), url, None), secrets)
}

async fn get_secret_value(State(secrets): State<Secrets>) -> (StatusCode, String) {
    let text = secrets.lock().unwrap().pop_front().expect("a fetch more than expected");
    match text {
        Some(text) => (StatusCode::OK, json!({"SecretString": text}).to_string()),
        None => {
            let denied = json!({"__type": "AccessDeniedException", "message": "denied"});
            (StatusCode::BAD_REQUEST, denied.to_string())
        }
    }
}

fn unfetched(secrets: &Secrets) -> usize {
    secrets.lock().unwrap().len()
}

/// Looks up an intent that does not exist: with a valid key, the provider refuses with status 404.
async fn find(provider: &StripeProvider) -> ProviderError {
    provider.find(&IntentId::new("pi_unknown")).await.unwrap_err()
}

fn is_not_found(error: &ProviderError) -> bool {
    matches!(error, ProviderError::Call(stripe::Error::Refused { status: 404, .. }))
}

#[tokio::test]
async fn the_key_is_fetched_once_for_all_calls() {
    let (provider, secrets) = provider(&[Some(API_KEY)]).await;
    provider.connect().await;
    assert_eq!(unfetched(&secrets), 0);
    for _ in 0..2 {
        let error = find(&provider).await;
        assert!(is_not_found(&error), "{error:?}");
    }
}

#[tokio::test]
async fn calls_that_start_together_share_one_fetch() {
    let (provider, secrets) = provider(&[Some(API_KEY)]).await;
    let (first, second) = tokio::join!(find(&provider), find(&provider));
    assert!(is_not_found(&first) && is_not_found(&second), "{first:?}, {second:?}");
    assert_eq!(unfetched(&secrets), 0);
}

#[tokio::test]
async fn a_rejected_key_is_fetched_again_by_the_next_call() {
    let (provider, secrets) = provider(&[Some("sk_test_expired"), Some(API_KEY)]).await;
    let error = find(&provider).await;
    assert!(matches!(error, ProviderError::Call(stripe::Error::Unauthorized)), "{error:?}");
    assert_eq!(unfetched(&secrets), 1);
    let error = find(&provider).await;
    assert!(is_not_found(&error), "{error:?}");
    assert_eq!(unfetched(&secrets), 0);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_fetched_again_by_the_next_call() {
    let (provider, secrets) = provider(&[None, Some("two\nlines"), Some(API_KEY)]).await;
    let error = find(&provider).await;
    assert!(matches!(error, ProviderError::Key(KeyError::Secret(_))), "{error:?}");
    let error = find(&provider).await;
    assert!(matches!(error, ProviderError::Key(KeyError::Config(_))), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("two"), "{error:?}");
    let error = find(&provider).await;
    assert!(is_not_found(&error), "{error:?}");
    assert_eq!(unfetched(&secrets), 0);
}

#[tokio::test]
async fn a_failure_to_connect_in_advance_is_not_fatal() {
    let (provider, _) = provider(&[None, Some(API_KEY)]).await;
    provider.connect().await;
    let error = find(&provider).await;
    assert!(is_not_found(&error), "{error:?}");
}

#[test]
fn only_a_refused_request_is_permanent() {
    let refused = stripe::Error::Refused { status: 400, code: None, param: None, request_id: None };
    assert!(!ProviderError::from(refused).is_transient());
    assert!(ProviderError::from(stripe::Error::Unauthorized).is_transient());
    for key in [KeyError::Secret("denied".to_owned()), KeyError::Config(stripe::ConfigError::Url)] {
        assert!(key.is_transient());
        assert!(ProviderError::from(key).is_transient());
    }
}
