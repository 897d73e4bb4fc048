//! The routes of the API: template.yaml, the document of the API and the function agree.

use std::collections::{BTreeMap, BTreeSet};

use order_intake::route::{Access, CUSTOMER_SCOPE, Route};
use resources::{Template, target};
use serde_json::Value;

#[test]
fn the_template_has_the_routes_that_the_function_serves_with_their_access() {
    let template = Template::on_aws();
    let deployed: BTreeMap<_, _> =
        template.routes().iter().map(|route| (route.key, route.public)).collect();
    let served = Route::ALL.map(|route| (route.key(), route.access() == Access::Public));
    assert_eq!(deployed, BTreeMap::from(served), "on the left: template.yaml");
}

#[test]
fn a_route_is_public_or_takes_access_tokens_of_the_user_pool() {
    let template = Template::on_aws();
    for (route, properties) in template.all("AWS::ApiGatewayV2::Route") {
        match properties["AuthorizationType"].as_str() {
            Some("NONE") => {}
            Some("JWT") => {
                assert_eq!(target(&properties["AuthorizerId"]), "Authorizer", "{route}");
                assert_eq!(
                    properties["AuthorizationScopes"][0], CUSTOMER_SCOPE,
                    "{route} would accept ID tokens"
                );
            }
            other => panic!("{route} has the authorization type {other:?}"),
        }
    }
}

#[test]
fn the_document_of_the_api_has_the_same_routes_and_names_those_that_need_a_token() {
    let template = Template::on_aws();
    let routes: BTreeMap<_, _> =
        template.routes().iter().map(|route| (route.key.to_owned(), !route.public)).collect();
    let document: Value =
        serde_json::from_str(include_str!("../../crates/order-intake/openapi.json"))
            .expect("openapi.json is JSON");
    let paths = document["paths"].as_object().expect("paths").iter();
    let documented: BTreeMap<_, _> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods by name").iter();
            methods.map(move |(method, operation)| {
                (format!("{} {path}", method.to_uppercase()), operation["security"].is_array())
            })
        })
        .collect();
    assert_eq!(documented, routes);
}

#[test]
fn the_api_and_nothing_else_may_invoke_the_functions_behind_its_routes() {
    let template = Template::on_aws();
    let integrations = template.all("AWS::ApiGatewayV2::Integration").into_iter();
    let integrated: BTreeSet<_> =
        integrations.map(|(_, integration)| target(&integration["IntegrationUri"])).collect();
    let mut permitted = BTreeSet::new();
    for (id, permission) in template.all("AWS::Lambda::Permission") {
        if permission["Principal"] == "events.amazonaws.com" {
            // A schedule, which tests/template/permissions.rs looks at.
            assert!(!integrated.contains(target(&permission["FunctionName"])), "{id}");
            continue;
        }
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com", "{id}");
        let source = permission["SourceArn"]["!Sub"].as_str().expect("a source");
        assert!(source.ends_with(":${AWS::AccountId}:${Api}/*"), "{id} admits {source}");
        let function = target(&permission["FunctionName"]);
        assert!(permitted.insert(function), "{id} repeats the permission of {function}");
    }
    assert_eq!(permitted, integrated);
}
