//! Authentication on every route of the template, and who may see which order.

use std::fs;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::RSA_PKCS1_SHA256,
};
use aws_sdk_cognitoidentityprovider::{
    Client as Cognito,
    types::{AuthFlowType, AuthenticationResultType, ExplicitAuthFlowsType},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use reqwest::Method;
use resources::{Route, Template};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, croissants, stack};

/// A request to a route about an order or a shop.
fn request(
    system: &System,
    route: &Route<'_>,
    order: &str,
    location: &str,
) -> reqwest::RequestBuilder {
    let path = route.path().replace("{id}", order).replace("{location}", location);
    assert!(!path.contains('{'), "{}: replace its parameters here", route.key);
    system.request(route.method().parse().unwrap(), &path)
}

/// A key that signs tokens.
struct SigningKey {
    /// The token header, which names the key.
    header: Value,
    pair: KeyPair,
}

impl SigningKey {
    /// The key of the user pool.
    fn of_the_pool(system: &System, token: &str) -> Self {
        let pool = system.stack.outputs.get("UserPoolId").unwrap();
        let keys = stack("shared").state_dir.join("emulator/state/cognito-pool-keys");
        let pem = fs::read_to_string(keys.join(format!("{pool}-access.pem"))).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = KeyPair::from_pkcs8(&BASE64_STANDARD.decode(base64).unwrap()).unwrap();
        Self { header: part(token, 0), pair }
    }

    /// A new key under the name of the pool's key.
    fn foreign(token: &str) -> Self {
        Self { header: part(token, 0), pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    fn sign(&self, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(&self.header), encoded(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The header (0) or the claims (1) of a token.
fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(
        &BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap(),
    )
    .unwrap()
}

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The claims of a token, changed.
fn claims(token: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = part(token, 1);
    change(&mut claims);
    claims
}

/// The token with its header (0), claims (1) or signature (2) replaced.
fn with_part(token: &str, index: usize, replacement: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[index] = replacement;
    parts.join(".")
}

/// Creates another app of a user pool.
async fn app(cognito: &Cognito, pool: &str) -> String {
    let app = cognito.create_user_pool_client().user_pool_id(pool).client_name("another");
    let app = app
        .explicit_auth_flows(ExplicitAuthFlowsType::AllowAdminUserPasswordAuth)
        .send()
        .await
        .unwrap();
    app.user_pool_client.unwrap().client_id.unwrap()
}

/// Signs up a new user of a pool, and signs in.
async fn signed_in(cognito: &Cognito, pool: &str, app: &str) -> AuthenticationResultType {
    let (name, password) =
        (format!("{}@example.com", Uuid::new_v4().simple()), "Only-For-The-Emulator-1");
    cognito.admin_create_user().user_pool_id(pool).username(&name).send().await.unwrap();
    let secret = cognito
        .admin_set_user_password()
        .user_pool_id(pool)
        .username(&name)
        .password(password)
        .permanent(true);
    secret.send().await.unwrap();
    let sign_in = cognito
        .admin_initiate_auth()
        .user_pool_id(pool)
        .client_id(app)
        .auth_flow(AuthFlowType::AdminUserPasswordAuth);
    let sign_in = sign_in
        .auth_parameters("USERNAME", name)
        .auth_parameters("PASSWORD", password)
        .send()
        .await
        .unwrap();
    sign_in.authentication_result.unwrap()
}

/// Values of the `Authorization` header that are refused, each with the status of the answer.
async fn refused_tokens(
    system: &System,
    camille: &Customer<'_>,
    noor: &Customer<'_>,
) -> Vec<(&'static str, Option<String>, u16)> {
    let token = &*camille.token;
    let hour = |hours: i64| (Timestamp::now() + hours.hours()).as_second();
    let key = SigningKey::of_the_pool(system, token);
    let signed = |change: &dyn Fn(&mut Value)| key.sign(&claims(token, change));
    let tampered =
        |change: &dyn Fn(&mut Value)| with_part(token, 1, &encoded(&claims(token, change)));

    let cognito = Cognito::new(&system.stack.aws());
    let pool = system.stack.outputs.get("UserPoolId").unwrap();
    let elsewhere = cognito
        .create_user_pool()
        .pool_name("elsewhere")
        .send()
        .await
        .unwrap()
        .user_pool
        .unwrap()
        .id
        .unwrap();
    let of_another_pool = signed_in(&cognito, &elsewhere, &app(&cognito, &elsewhere).await)
        .await
        .access_token
        .unwrap();
    let of_another_app =
        signed_in(&cognito, pool, &app(&cognito, pool).await).await.access_token.unwrap();
    let own =
        signed_in(&cognito, pool, system.stack.outputs.get("UserPoolClientId").unwrap()).await;
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(2).unwrap()).unwrap();
    signature[0] ^= 1;

    let none = json!({"alg": "none", "typ": "JWT", "kid": key.header["kid"]});
    let tokens = [
        ("an empty token", String::new(), 401),
        ("a token that is not a JWT", "letmein".to_owned(), 401),
        ("half a token", token[..token.len() / 2].to_owned(), 401),
        ("another subject", tampered(&|claims| claims["sub"] = json!(noor.id)), 401),
        ("a later expiry", tampered(&|claims| claims["exp"] = json!(hour(24))), 401),
        ("another signature", with_part(token, 2, &BASE64_URL_SAFE_NO_PAD.encode(signature)), 401),
        ("no signature", with_part(token, 2, ""), 401),
        (
            "no signature, and a header that says so",
            with_part(&with_part(token, 0, &encoded(&none)), 2, ""),
            401,
        ),
        (
            "a signature by a foreign key",
            SigningKey::foreign(token).sign(&claims(token, |_| ())),
            401,
        ),
        ("an expired token", signed(&|claims| claims["exp"] = json!(hour(-1))), 401),
        ("a token that is not valid yet", signed(&|claims| claims["nbf"] = json!(hour(1))), 401),
        (
            "another issuer",
            signed(&|claims| {
                claims["iss"] = json!("https://cognito-idp.eu-central-1.amazonaws.com/elsewhere")
            }),
            401,
        ),
        ("a token of another user pool", of_another_pool, 401),
        ("another audience", signed(&|claims| claims["client_id"] = json!("elsewhere")), 401),
        ("a token of another app of the same user pool", of_another_app, 401),
        // Valid tokens for another purpose are forbidden.
        (
            "an access token without the scope",
            signed(&|claims| claims["scope"] = json!("openid")),
            403,
        ),
        ("a customer's ID token", own.id_token.unwrap(), 403),
        // On AWS it is not a JWT, and the status is 401.
        ("a customer's refresh token", own.refresh_token.unwrap(), 403),
    ];
    let tokens =
        tokens.map(|(what, token, status)| (what, Some(format!("Bearer {token}")), status));
    let others = [
        ("no token", None, 401),
        ("basic authentication", Some("Basic Y2FtaWxsZTpzZWNyZXQ=".to_owned()), 401),
    ];
    others.into_iter().chain(tokens).collect()
}

#[tokio::test]
async fn only_public_routes_answer_without_a_valid_access_token_of_this_system() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let order = camille.place(&croissants(&shop, 1)).await;
    let location = shop.menu.location.as_str();
    let tokens = refused_tokens(&system, &camille, &noor).await;
    let template = Template::on_aws();
    let routes = template.routes();
    assert!(routes.iter().any(|route| route.public) && routes.iter().any(|route| !route.public));
    join_all(routes.iter().map(async |route| {
        for (what, token, refused) in &tokens {
            let request = request(&system, route, &order, location);
            let mut request = request.header("idempotency-key", "k").json(&croissants(&shop, 1));
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answer = Answer::to(request).await;
            let expected = if route.public { 200 } else { *refused };
            assert_eq!(answer.status, expected, "{what}: {}: {}", route.key, answer.body);
        }
    }))
    .await;

    // The same key and claims without a mistake are accepted, so the refusals prove something.
    let genuine = SigningKey::of_the_pool(&system, &camille.token).sign(&part(&camille.token, 1));
    let seen =
        Answer::to(system.request(Method::GET, &format!("/orders/{order}")).bearer_auth(genuine))
            .await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert_ne!(seen.body["status"], "cancelled");
    let mut orders = system.rows("OrdersTableName").await;
    orders.retain(|row| row["location"] == location);
    assert_eq!(orders.len(), 1, "{orders:?}");
}

#[tokio::test]
async fn another_customers_order_does_not_exist_on_any_route() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let order = camille.place(&croissants(&shop, 1)).await;
    let confirmed = camille.confirmed(&order).await;
    let location = shop.menu.location.as_str();
    let template = Template::on_aws();
    let mut about_an_order = 0;
    for route in template.routes().iter().filter(|route| route.path().contains("{id}")) {
        let ask = async |order: &str| {
            Answer::to(request(&system, route, order, location).bearer_auth(&noor.token)).await
        };
        let (theirs, unknown) = (ask(&order).await, ask(&Uuid::new_v4().to_string()).await);
        assert_eq!((theirs.status, &theirs.body), (404, &unknown.body), "{}", route.key);
        about_an_order += 1;
    }
    assert!(about_an_order >= 2);
    assert_eq!(noor.get("/orders").await.body["orders"], json!([]));
    assert_eq!(camille.order(&order).await, confirmed);
}
