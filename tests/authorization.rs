//! Who is let in, on every route of the template, and who may see what.

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
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Customer, System, croissants, stack};

/// A route of the template.
struct Route {
    method: Method,
    /// With parameters in braces.
    path: String,
    public: bool,
}

impl Route {
    fn all() -> Vec<Self> {
        let template: yaml_serde::Value =
            yaml_serde::from_str(include_str!("../template.yaml")).unwrap();
        let resources = template["Resources"].as_mapping().unwrap().values();
        let routes = resources.filter(|resource| resource["Type"] == "AWS::ApiGatewayV2::Route");
        let route = |route: &yaml_serde::Value| {
            let (method, path) =
                route["Properties"]["RouteKey"].as_str().unwrap().split_once(' ').unwrap();
            let public = route["Properties"]["AuthorizationType"] == "NONE";
            Self { method: method.parse().unwrap(), path: path.to_owned(), public }
        };
        routes.map(route).collect()
    }

    fn is_about_an_order(&self) -> bool {
        self.path.contains("{id}")
    }

    /// The route's path for an order and a shop.
    fn path(&self, order: &str, location: &str) -> String {
        let path = self.path.replace("{id}", order).replace("{location}", location);
        assert!(!path.contains('{'), "say here what the parameters of {path} stand for");
        path
    }
}

/// How tokens are signed.
struct SigningKey {
    /// The key's name, which tokens carry.
    header: Value,
    pair: KeyPair,
}

impl SigningKey {
    /// The user pool's own.
    fn of_the_pool(system: &System, token: &str) -> Self {
        let pool = system.stack.outputs.get("UserPoolId").unwrap();
        let keys = stack("shared").state_dir.join("emulator/state/cognito-pool-keys");
        let pem = fs::read_to_string(keys.join(format!("{pool}-access.pem"))).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = KeyPair::from_pkcs8(&BASE64_STANDARD.decode(base64).unwrap()).unwrap();
        Self { header: part(token, 0), pair }
    }

    /// A stranger's, of the same name.
    fn of_a_stranger(token: &str) -> Self {
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

/// What a token says in its header (0) or claims (1).
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

/// The same token with something else in place of its header, claims or signature.
fn with_part(token: &str, index: usize, replacement: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[index] = replacement;
    parts.join(".")
}

/// An app of its own for a pool.
async fn app(cognito: &Cognito, pool: &str) -> String {
    let app = cognito.create_user_pool_client().user_pool_id(pool).client_name("another");
    let app = app
        .explicit_auth_flows(ExplicitAuthFlowsType::AllowAdminUserPasswordAuth)
        .send()
        .await
        .unwrap();
    app.user_pool_client.unwrap().client_id.unwrap()
}

/// The tokens of somebody new in a pool.
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

/// What does not let anybody in, and the status that it gets.
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
        ("no JWT", "letmein".to_owned(), 401),
        ("half a token", token[..token.len() / 2].to_owned(), 401),
        ("somebody else's name", tampered(&|claims| claims["sub"] = json!(noor.id)), 401),
        ("a longer life", tampered(&|claims| claims["exp"] = json!(hour(24))), 401),
        ("another signature", with_part(token, 2, &BASE64_URL_SAFE_NO_PAD.encode(signature)), 401),
        ("no signature", with_part(token, 2, ""), 401),
        (
            "no signature, as its header says",
            with_part(&with_part(token, 0, &encoded(&none)), 2, ""),
            401,
        ),
        (
            "a stranger's signature",
            SigningKey::of_a_stranger(token).sign(&claims(token, |_| ())),
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
        // What is right in all but its purpose is forbidden.
        (
            "an access token without the scope",
            signed(&|claims| claims["scope"] = json!("openid")),
            403,
        ),
        ("a customer's ID token", own.id_token.unwrap(), 403),
        // On AWS it is no JWT, and gets a 401.
        ("a customer's refresh token", own.refresh_token.unwrap(), 403),
    ];
    let tokens =
        tokens.map(|(what, token, status)| (what, Some(format!("Bearer {token}")), status));
    let others = [
        ("no token", None, 401),
        ("a name and a password", Some("Basic Y2FtaWxsZTpzZWNyZXQ=".to_owned()), 401),
    ];
    others.into_iter().chain(tokens).collect()
}

#[tokio::test]
async fn nobody_gets_in_without_a_valid_access_token_of_this_system_except_to_what_is_public() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let order = camille.places(&croissants(&shop, 1)).await;
    let location = shop.menu.location.as_str();
    let tokens = refused_tokens(&system, &camille, &noor).await;
    let routes = Route::all();
    assert!(routes.iter().any(|route| route.public) && routes.iter().any(|route| !route.public));
    join_all(routes.iter().map(async |route| {
        for (what, token, refused) in &tokens {
            let mut request = system.request(route.method.clone(), &route.path(&order, location));
            request = request.header("idempotency-key", "k").json(&croissants(&shop, 1));
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answer = Answer::to(request).await;
            let expected = if route.public { 200 } else { *refused };
            assert_eq!(
                answer.status, expected,
                "{what}: {} {}: {}",
                route.method, route.path, answer.body
            );
        }
    }))
    .await;

    // What is refused would be let in if it were not for what is wrong with it.
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
async fn another_customers_order_is_none_on_every_route() {
    let system = System::shared().await;
    let (camille, noor) = (system.customer().await, system.customer().await);
    let shop = system.shop().await;
    let order = camille.places(&croissants(&shop, 1)).await;
    let confirmed = camille.sees_confirmed(&order).await;
    let location = shop.menu.location.as_str();
    let routes = Route::all();
    let mut about_an_order = 0;
    for route in routes.iter().filter(|route| route.is_about_an_order()) {
        let ask = async |order: &str| {
            Answer::to(noor.request(route.method.clone(), &route.path(order, location))).await
        };
        let (theirs, nothing) = (ask(&order).await, ask(&Uuid::new_v4().to_string()).await);
        assert_eq!(
            (theirs.status, &theirs.body),
            (404, &nothing.body),
            "{} {}",
            route.method,
            route.path
        );
        about_an_order += 1;
    }
    assert!(about_an_order >= 2);
    assert_eq!(noor.get("/orders").await.body["orders"], json!([]));
    assert_eq!(camille.order(&order).await, confirmed);
}
