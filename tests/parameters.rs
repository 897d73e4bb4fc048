//! A change of a parameter alone reaches customers: it publishes a version of each function that
//! depends on it, and of no other.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::{
    Client as CloudFormation,
    error::DisplayErrorContext,
    types::{Capability, Parameter},
};
use aws_sdk_lambda::{Client as Lambda, types::FunctionConfiguration};
use local::{Binaries, Host, Progress, Stack};
use resources::{Template, section};

use crate::harness::{System, stack};

/// Another value of a parameter than that of a new stack, unless the embedded AWS has no other.
fn other(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "Stage" | "EndpointUrl" | "Architecture" => return None,
        // The embedded AWS has no scalable targets: below.
        "WarmOrderIntake" => return None,
        // Only a partner of AWS makes such a bus.
        "ProviderEventBus" => return None,
        // It has the resources of CodeDeploy, and moves an alias at once.
        "Canary" => "true",
        "Commit" => "0123abc-dirty",
        "MenuCacheSeconds" => "2",
        "ConfirmWithinSeconds" => "600",
        "RetryBudgetSeconds" | "ChargeRetryBudgetSeconds" => "660",
        "RefundRetryBudgetSeconds" | "NoticeRetryBudgetSeconds" => "7200",
        "OrderIntakeConcurrency" => "20",
        "ProviderUrl" => "http://127.0.0.1:1",
        "AuthenticationReturnUrl" => "https://amelie.example/orders",
        "DeclinesPerCustomer" => "4",
        "DeclineWindowSeconds" => "1800",
        "ProviderSecretName" | "BooksSecretName" => "amelie/other",
        "SenderAddress" => "others@amelie.example",
        "SenderIdentity" => "amelie.example",
        "AccountMailer" => "ses",
        "AlarmAddress" => "operator@amelie.example",
        "BusyFromHour" | "WarmFromHour" => "8",
        "BusyToHour" | "WarmToHour" => "11",
        "WarmTimeZone" => "America/New_York",
        "XRay" => "true",
        other => panic!("say here what else {other} may be"),
    })
}

/// The configuration of a function: what callers get by the alias, or else what would be published.
async fn configuration(system: &System, function: &str, qualifier: &str) -> FunctionConfiguration {
    let lambda = Lambda::new(&system.stack.aws());
    let name = system.resource(function).await;
    let function = lambda.get_function().function_name(name).qualifier(qualifier);
    function.send().await.unwrap().configuration.unwrap()
}

/// The versions of all functions that callers get.
async fn live<'a>(system: &System, template: &'a Template) -> BTreeMap<&'a str, String> {
    let mut versions = BTreeMap::new();
    for function in template.functions() {
        let version = configuration(system, function, "live").await.version.unwrap();
        versions.insert(function, version);
    }
    versions
}

#[tokio::test]
async fn a_change_of_a_parameter_alone_reaches_the_functions_that_depend_on_it() {
    let mut options = stack("parameters");
    let binaries = Binaries::build(&[], Progress::Silent).await.unwrap();
    let host = Host::start(&options).await.unwrap();
    let (stack, _) = Stack::deploy(host.address(), &binaries, &options).await.unwrap();
    let system = System::connect(&stack);
    let template = Template::local();
    let uses = |function: &str, parameter: &str| {
        let description = &template.properties(function)["VersionDescription"]["!Sub"];
        description.as_str().unwrap().contains(&format!("${{{parameter}}}"))
    };
    let mut before = live(&system, &template).await;

    for parameter in section("Parameters").as_object().unwrap().keys() {
        let Some(value) = other(parameter) else { continue };
        options.parameters.insert(parameter.clone(), value.to_owned());
        let deployed = Stack::deploy(host.address(), &binaries, &options).await;
        deployed.unwrap_or_else(|error| panic!("{parameter}: {error}"));
        let after = live(&system, &template).await;
        for function in template.functions() {
            let is_new = after[function] != before[function];
            assert_eq!(is_new, uses(function, parameter), "{parameter} and {function}");
            let published = configuration(&system, function, "live").await;
            let latest = configuration(&system, function, "$LATEST").await;
            assert_eq!(published.environment, latest.environment, "{parameter} and {function}");
            assert_eq!(published.tracing_config, latest.tracing_config, "{function}");
        }
        before = after;
    }
}

/// SAM translates the template before the embedded AWS refuses what it does not have.
#[tokio::test]
async fn warm_functions_are_added_by_a_parameter() {
    let system = System::shared().await;
    let client = CloudFormation::new(&system.stack.aws());
    let names = section("Parameters");
    let parameters = names.as_object().unwrap().keys().map(|name| {
        let parameter = Parameter::builder().parameter_key(name);
        match name.as_str() {
            "WarmOrderIntake" => parameter.parameter_value("10").build(),
            _ => parameter.use_previous_value(true).build(),
        }
    });
    let change = client
        .create_change_set()
        .stack_name(&system.stack.embedded.stack_name)
        .change_set_name("warm")
        .use_previous_template(true)
        .set_parameters(Some(parameters.collect()))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand);
    let refusal = DisplayErrorContext(change.send().await.unwrap_err()).to_string();
    assert!(refusal.contains("AWS::ApplicationAutoScaling::ScalableTarget"), "{refusal}");
}
