//! `cargo ops` with the kinds of profiles that operators have.

use std::{fs, path::PathBuf};

use axum::{Json, Router, routing::get};
use jiff::{Timestamp, ToSpan};
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Output, System};

const PROFILES: &str = r#"
[profile process]
region = eu-central-1
credential_process = echo '{"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test"}'

[profile sso]
region = eu-central-1
sso_session = amelie
sso_account_id = 000000000000
sso_role_name = operator

[sso-session amelie]
sso_region = eu-central-1
sso_start_url = https://amelie.example/start

[profile empty]
region = eu-central-1
"#;

/// The file in which the AWS CLI keeps the token of a session, named by the SHA-1 of `amelie`.
const TOKEN: &str = "200ac87d617cdcea44f5128d7f7a448bd8994015.json";

/// Runs a read-only command with a profile, which is all that the environment has.
async fn list_dead_letters(profile: &str, portal: &str) -> Output {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("profiles").join(profile);
    let tokens = home.join(".aws/sso/cache");
    fs::create_dir_all(&tokens).unwrap();
    fs::write(home.join(".aws/config"), PROFILES).unwrap();
    let token = json!({"accessToken": "token", "expiresAt": Timestamp::now() + 1.hour()});
    fs::write(tokens.join(TOKEN), token.to_string()).unwrap();
    let environment = [
        ("HOME", home.to_str().unwrap()),
        ("AWS_PROFILE", profile),
        ("AWS_ENDPOINT_URL_SSO", portal),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    System::shared().await.ops_as(&environment, &["dlq", "list"]).await
}

#[tokio::test]
async fn a_profile_with_a_credential_process_is_accepted() {
    let list = list_dead_letters("process", "http://127.0.0.1:1").await;
    assert!(list.text.contains("charge"), "{}", list.errors);
}

#[tokio::test]
async fn a_profile_with_single_sign_on_is_accepted() {
    let credentials = json!({"roleCredentials": {
        "accessKeyId": "test",
        "secretAccessKey": "test",
        "expiration": (Timestamp::now() + 1.hour()).as_millisecond(),
    }});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let portal = format!("http://{}", listener.local_addr().unwrap());
    let answer = get(async move || Json(credentials));
    let router = Router::new().route("/federation/credentials", answer);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let list = list_dead_letters("sso", &portal).await;
    assert!(list.text.contains("charge"), "{}", list.errors);
}

#[tokio::test]
async fn without_credentials_the_command_says_how_to_get_some() {
    let list = list_dead_letters("empty", "http://127.0.0.1:1").await;
    assert_eq!(list.status, 2);
    assert!(list.errors.contains("there are no AWS credentials"), "{}", list.errors);
    assert!(list.errors.contains("--local"), "{}", list.errors);
}
